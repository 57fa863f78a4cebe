# All samples of a run -> medians, ratios to nginx within the same round, targets met or not.
def median: sort | if length == 0 then null elif length % 2 == 1 then .[length / 2 | floor] else (.[length / 2 - 1] + .[length / 2]) / 2 end;
def round3: if . == null then null else . * 1000 | round / 1000 end;

# Ratios of a subject's CPU to nginx's, round by round.
def ratios($all; $load; $subject):
    [$all[] | select(.load == $load and .subject == $subject) as $mine
     | $all[] | select(.load == $load and .subject == "nginx" and .round == $mine.round) | $mine.cpu_us / .cpu_us];

# Ratios of one load's CPU to another's, same subject and round.
def between($all; $subject; $load; $base):
    [$all[] | select(.load == $load and .subject == $subject) as $mine
     | $all[] | select(.load == $base and .subject == $subject and .round == $mine.round) | $mine.cpu_us / .cpu_us];

def rows($part):
    [.[] | select(.part == $part)] as $all
    | [$all | group_by(.load)[] | .[0].load as $load | group_by(.subject)[] | {
        load: $load,
        subject: .[0].subject,
        rounds: length,
        cpu_us: (map(.cpu_us) | median | round3),
        ratio_to_nginx: (ratios($all; $load; .[0].subject) | median | round3),
        per_second: (map(.per_second) | median | round),
        errors: (map((.errors // 0) + (.lost // 0)) | add),
        p50_us: (map(.p50_us // .delay_us.p50) | median),
        p99_us: (map(.p99_us // .delay_us.p99) | median),
        first_event_p50_us: (map(.first_event_us.p50 // empty) | median),
        first_event_p99_us: (map(.first_event_us.p99 // empty) | median),
        gap_p50_us: (map(.gap_us.p50 // empty) | median),
        gap_p99_us: (map(.gap_us.p99 // empty) | median)
      } | with_entries(select(.value != null))];

# One row a pair: its CPU and memory, and what they are of the same in the passthrough of the upstream's protocol.
def pair_rows:
    [.[] | select(.part == "pairs") | . + {upstream: (.subject | split(">")[1])}] as $all
    | def relayed($sample): $all[] | select(.load == $sample.load and .round == $sample.round and .subject == "\($sample.upstream)>\($sample.upstream)");
      def cost($load): [.[] | select(.load == $load)]
        | {us: (map(.cpu_us) | median | round3), of_passthrough: ([.[] as $mine | $mine.cpu_us / relayed($mine).cpu_us] | median | round3)};
    [$all | group_by(.upstream)[] | group_by(.subject)[] | {
        pair: .[0].subject, rounds: (map(.round // 0) | max),
        request: cost("request"), chunk: cost("chunk"), image: cost("image"),
        stream: ([.[] | select(.load == "waiting")][0]
                 | {bytes: (.bytes_per_stream | round), over_passthrough: (. as $mine | $mine.bytes_per_stream - relayed($mine).bytes_per_stream | round)}),
        errors: (map((.errors // 0) + (.lost // 0)) | add)
      }];

def target($name; $value; $limit): {name: $name, value: ($value | round3), limit: $limit, met: (if $value == null then null else $value <= $limit end)};

. as $samples
| pair_rows as $pairs
| [.[] | select(.part == "requests")] as $requests
| [.[] | select(.part == "chunks")] as $chunks
| [.[] | select(.part == "memory")] as $memory
| [.[] | select(.part == "gaps")] as $gaps
| def gap($kind; $quantile): [$gaps[] | select(.kind == $kind) | .gap_us[$quantile]] | median;
  def per_stream($subject; $tls): [$memory[] | select(.subject == $subject and .tls == $tls) | .bytes_per_stream] | max;
  {
    version: $version, machine: $machine, nginx: $nginx, haproxy: $haproxy, quick: $quick, binary_bytes: $bytes,
    requests: ($samples | rows("requests")),
    chunks: ($samples | rows("chunks")),
    pairs: $pairs,
    memory: $memory,
    gaps: [["without", "with"][] as $kind | {kind: $kind, p50_us: gap($kind; "p50"), p90_us: gap($kind; "p90"), p99_us: gap($kind; "p99"),
            max_us: gap($kind; "max"), cpu_share: ([$gaps[] | select(.kind == $kind) | .cpu_share] | median | round3),
            handshakes: ([$gaps[] | select(.kind == $kind) | .handshakes.answered // 0] | add),
            handshakes_lost: ([$gaps[] | select(.kind == $kind) | .handshakes.lost // 0] | add)}],
    glibc: {
        passthrough_request: ([$requests[] | select(.subject == "passthrough-glibc") as $g | $requests[]
            | select(.subject == "passthrough" and .load == $g.load and .round == $g.round) | .cpu_us / $g.cpu_us] | median | round3),
        translated_request: ([$requests[] | select(.subject == "translated-glibc") as $g | $requests[]
            | select(.subject == "translated" and .load == $g.load and .round == $g.round) | .cpu_us / $g.cpu_us] | median | round3),
        translated_chunk: ([$chunks[] | select(.subject == "translated-glibc") as $g | $chunks[]
            | select(.subject == "translated" and .load == $g.load and .round == $g.round) | .cpu_us / $g.cpu_us] | median | round3)
    },
    targets: [
        target("request passed through, 1 KiB, 64 connections, of nginx"; ratios($requests; "1k-64"; "passthrough") | median; 0.80),
        target("request translated, of nginx"; ratios($requests; "1k-64"; "translated") | median; 1.00),
        target("16 KiB request passed through, of 1 KiB"; between($requests; "passthrough"; "16k-64"; "1k-64") | median; 1.5),
        target("16 KiB request translated, of 1 KiB"; between($requests; "translated"; "16k-64"; "1k-64") | median; 2.0),
        target("chunk translated, 64 streams spread, of nginx"; ratios($chunks; "spread-64"; "translated") | median; 1.00),
        target("chunk translated, 64 streams together, of nginx"; ratios($chunks; "together-64"; "translated") | median; 0.90),
        target("chunk translated, TLS upstream, of nginx"; ratios($chunks; "spread-64-tls"; "translated") | median; 1.10),
        target("request of any pair, of its passthrough"; [$pairs[].request.of_passthrough] | max; 1.30),
        target("chunk of any pair, of its passthrough"; [$pairs[].chunk.of_passthrough] | max; 1.30),
        target("5 MiB image through any pair, of its passthrough"; [$pairs[].image.of_passthrough] | max; 1.10),
        target("waiting stream of any pair over its passthrough, bytes"; [$pairs[].stream.over_passthrough] | max; 4096),
        target("errors in pairs"; [$pairs[].errors] | add; 0),
        target("idle, KiB resident"; [$memory[] | .idle.rss_kib // empty] | max; 4096),
        target("waiting stream, bytes"; [per_stream("passthrough"; false), per_stream("translated"; false)] | max; 4096),
        target("waiting stream over TLS, bytes"; per_stream("translated"; true); 8192),
        target("streams lost of 9,000 waiting"; [$memory[] | select(.tls == false and .idle != null) | .lost] | max; 0),
        target("gaps with handshakes: p90 over without, us"; (if ($gaps | length) == 0 then null else gap("with"; "p90") - gap("without"; "p90") end); 1000),
        target("gaps with handshakes: p99 of without"; (if ($gaps | length) == 0 then null else gap("with"; "p99") / gap("without"; "p99") end); 3),
        target("static binary, bytes"; $bytes; 1048576)
    ]
  }
