# The cache of peer_bench: purges from loopback, and nothing behind it.
vcl 4.1;

backend default none;

sub vcl_recv {
  if (req.method == "PURGE") {
    return (purge);
  }
  return (synth(404));
}

sub vcl_purge {
  return (synth(204, "Purged"));
}
