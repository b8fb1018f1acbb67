# What a Varnish needs so that Purgeline, and nobody else, may purge it.
#
# Start varnishd with a socket for purges beside its other ones:
#     -a purge=/run/varnish/purge.sock,user=varnish,group=purgeline,mode=0660
# and include this file after `vcl 4.1;` and before your own subroutines.

sub vcl_recv {
  if (req.method == "PURGE") {
    if (local.socket != "purge") {
      return (synth(405, "Method not allowed"));
    }
    return (purge);
  }
}

sub vcl_purge {
  # Without a body: an answer costs less that way.
  return (synth(204, "Purged"));
}
