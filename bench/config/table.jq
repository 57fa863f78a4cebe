# The summary as a table for people.
def pad($n): tostring | . + (" " * ([$n - length, 0] | max));
def left($n): tostring | (" " * ([$n - length, 0] | max)) + .;
def num($digits): if . == null then "-" else (pow(10; $digits) as $p | . * $p | round / $p) end;

"\(.version)",
"\(.machine); nginx \(.nginx), haproxy \(.haproxy), one worker each",
"",
("load" | pad(16)) + ("subject" | pad(20)) + ("CPU us" | left(9)) + ("of nginx" | left(10)) + ("per second" | left(12)) + ("p50 us" | left(10)) + ("p99 us" | left(10)) + ("errors" | left(8)),
(("requests", "chunks") as $part
 | ("-- " + $part),
   (.[$part][] | (.load | pad(16)) + (.subject | pad(20)) + (.cpu_us | num(2) | left(9)) + (.ratio_to_nginx | num(2) | left(10))
     + (.per_second | left(12)) + (.p50_us | num(0) | left(10)) + (.p99_us | num(0) | left(10)) + (.errors | left(8)))),
"-- waiting streams",
(.memory[] | (.subject + (if .tls then " TLS" else "" end) | pad(36)) + "\(.bytes_per_stream | round) bytes a stream, \(.open) of \(.streams) open, \(.lost) lost"
   + (if .idle then "; idle \(.idle.rss_kib) + \(.idle.pte_kib) KiB" else "" end)),
"-- gaps between events of 64 streams, 50 new TLS connections a second to a P-384 chain",
(.gaps[] | (.kind | pad(10)) + "p50 \(.p50_us) p90 \(.p90_us) p99 \(.p99_us) max \(.max_us) us; \(.handshakes) handshakes, \(.handshakes_lost) lost; CPU share \(.cpu_share)"),
"-- static binary over the glibc build, CPU: request passed through \(.glibc.passthrough_request), translated \(.glibc.translated_request), chunk \(.glibc.translated_chunk)",
"",
("target" | pad(56)) + ("value" | left(12)) + ("limit" | left(10)),
(.targets[] | (.name | pad(56)) + (.value | num(3) | left(12)) + (.limit | left(10)) + (if .met == null then "   -" elif .met then "   met" else "   MISSED" end))
