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
"-- pairs, client>upstream: CPU us and of the passthrough of the same bodies",
(if (.pairs | length) == 0 then empty else ("" | pad(22)) + ("request" | left(9)) + ("of" | left(6)) + ("chunk" | left(9)) + ("of" | left(6)) + ("5 MiB image" | left(13)) + ("of" | left(6))
   + ("bytes a stream" | left(16)) + ("over" | left(7)) + ("errors" | left(8)) end),
(.pairs[] | (.pair | pad(22)) + (.request.us | num(2) | left(9)) + (.request.of_passthrough | num(2) | left(6)) + (.chunk.us | num(2) | left(9)) + (.chunk.of_passthrough | num(2) | left(6))
   + (.image.us | num(0) | left(13)) + (.image.of_passthrough | num(2) | left(6)) + (.stream.bytes | num(0) | left(16)) + (.stream.over_passthrough | num(0) | left(7)) + (.errors | left(8))),
"-- waiting streams",
(.memory[] | (.subject + (if .tls then " TLS" else "" end) | pad(36)) + "\(.bytes_per_stream | round) bytes a stream, \(.open) of \(.streams) open, \(.lost) lost"
   + (if .idle then "; idle \(.idle.rss_kib) + \(.idle.pte_kib) KiB" else "" end)),
"-- gaps between events of 64 streams, 50 new TLS connections a second to a P-384 chain",
(.gaps[] | (.kind | pad(10)) + "p50 \(.p50_us) p90 \(.p90_us) p99 \(.p99_us) max \(.max_us) us; \(.handshakes) handshakes, \(.handshakes_lost) lost; CPU share \(.cpu_share)"),
"-- static binary over the glibc build, CPU: request passed through \(.glibc.passthrough_request), translated \(.glibc.translated_request), chunk \(.glibc.translated_chunk)",
"",
("target" | pad(56)) + ("value" | left(12)) + ("limit" | left(10)),
(.targets[] | (.name | pad(56)) + (.value | num(3) | left(12)) + (.limit | left(10)) + (if .met == null then "   -" elif .met then "   met" else "   MISSED" end))
