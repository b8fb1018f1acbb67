# What a Varnish needs so that Purgeline, and nobody else, may purge it: plain PURGE of one URL. And
# so that Purgeline can ask which copy of a URL is here, without anything being fetched for that.
#
# Include this file after `vcl 4.1;` and before your own subroutines: what stands first in vcl_recv
# runs first, so nothing of yours can answer a PURGE before this does.
#
# Best start varnishd with a socket of its own for purges, whose access rights say who may purge:
#     -a purge=/run/varnish/purge.sock,user=varnish,group=purgeline,mode=0660
# Over TCP the list below says it. A client of a Unix socket has no address that an ACL could match,
# which is why the name of the socket is looked at first.

acl purgeline_clients {
  "127.0.0.1";
  "::1";
}

sub vcl_recv {
  if (req.method == "PURGE") {
    if (local.socket != "purge" && client.ip !~ purgeline_clients) {
      unset req.http.X-Purgeline-Audit;  # or the refusal would look like an answer to it
      return (synth(405, "Method not allowed"));
    }
    if (!req.http.X-Purgeline-Audit) {
      return (purge);
    }
    # The audit's question. From here on it is a client's GET, so that your own lines below make the
    # same key of it; but it is answered where a client's would be looked up, and never fetched. It
    # comes as a PURGE because a VCL without these lines then purges, and asks no origin either.
    set req.method = "GET";
    set req.http.X-Purgeline-Audit = "asked";
    set req.hash_ignore_busy = true;
  } else if (req.restarts == 0) {
    unset req.http.X-Purgeline-Audit;
  }
}

sub vcl_hit {
  if (req.http.X-Purgeline-Audit) {
    set req.http.X-Purgeline-Audit = "copy";
    set req.http.X-Purgeline-Age = obj.age;
    set req.http.X-Purgeline-Date = obj.http.Date;
    return (synth(200, "Copy"));
  }
}

sub vcl_miss {
  if (req.http.X-Purgeline-Audit) {
    set req.http.X-Purgeline-Audit = "absent";
    return (synth(504, "Not cached"));
  }
}

sub vcl_pass {
  if (req.http.X-Purgeline-Audit) {
    set req.http.X-Purgeline-Audit = "absent";
    return (synth(504, "Not cached"));
  }
}

sub vcl_pipe {
  if (req.http.X-Purgeline-Audit) {
    set req.http.X-Purgeline-Audit = "absent";
    return (synth(504, "Not cached"));
  }
}

sub vcl_backend_fetch {
  # Behind the others, should one of your own lines have sent it here.
  if (bereq.http.X-Purgeline-Audit) {
    return (abandon);
  }
}

sub vcl_purge {
  # Without a body: an answer costs less that way.
  return (synth(204, "Purged"));
}

sub vcl_synth {
  # "copy" with the age and date of it, "absent", or "asked" when lines of yours answered first.
  if (req.http.X-Purgeline-Audit) {
    set resp.http.X-Purgeline-Audit = req.http.X-Purgeline-Audit;
    if (req.http.X-Purgeline-Audit == "copy") {
      set resp.http.Age = req.http.X-Purgeline-Age;
      set resp.http.Date = req.http.X-Purgeline-Date;
    }
    return (deliver);
  }
  # A purge that Varnish did itself says so. A 200 without this mark may come from an origin that a
  # PURGE was passed to by a VCL without the lines above: that has purged nothing.
  if (req.method == "PURGE" && resp.status == 204) {
    set resp.http.X-Purgeline-Purged = "1";
    return (deliver);
  }
}
