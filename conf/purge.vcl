# What a Varnish needs so that Purgeline, and nobody else, may purge it: plain PURGE of one URL.
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
      return (synth(405, "Method not allowed"));
    }
    return (purge);
  }
}

sub vcl_purge {
  # Without a body: an answer costs less that way.
  return (synth(204, "Purged"));
}

sub vcl_synth {
  # A purge that Varnish did itself says so. A 200 without this mark may come from an origin that a
  # PURGE was passed to by a VCL without the lines above: that has purged nothing.
  if (req.method == "PURGE" && resp.status == 204) {
    set resp.http.X-Purgeline-Purged = "1";
    return (deliver);
  }
}
