#ifndef R2A_LIMITS_H
#define R2A_LIMITS_H

/* Every bound of the program, with its unit and its reason. What an operator may set has its
 * default and its extremes here; `ring2api check` prints the sum of what may be held at once. */

/* --- json --- */
#define JSON_DEPTH_MAX 128u /* nesting: tool schemas go two levels a property; deeper -> 400 */

/* --- http --- */
#define HEAD_BYTES_MAX                                                                            \
    32768u /* one request or status head, and the most limits.header_bytes may say; larger -> 431 \
            */
#define RX_SEGMENT_BYTES 32768u   /* provided-buffer size: best all-round, and holds one head */
#define HEADERS_MAX      128u     /* header fields in one head; more -> 431 */
#define FRAME_BYTES_MAX  8388608u /* one event of a stream (8 MiB): a base64 image fits */

#define CHUNK_LINE_BYTES_MAX     1024u  /* a chunk's size line with its extensions */
#define TRAILER_BYTES_MAX        8192u  /* the trailer section of a chunked body */
#define CHUNK_OVERHEAD_BYTES_MAX 65536u /* chunk framing let pass for nothing ... */
#define CHUNK_OVERHEAD_RATIO_MAX 8u     /* ... and per body byte: chunks of one byte cost 5 */

_Static_assert(HEAD_BYTES_MAX <= RX_SEGMENT_BYTES, "a head always fits one segment");

/* --- core: memory --- */
#define ROPE_SEGMENT_BYTES_MAX 16384u /* largest segment of a rope */

/* --- core: log --- */
#define LOG_LINE_BYTES_MAX  2048u /* one event; its formatting is on the stack */
#define LOG_VALUE_BYTES_MAX 512u  /* one value, before escaping; the rest is cut */
#define LOG_SITE_LINES_MAX  20u   /* lines of one call site within a window: a fault cannot flood */
#define LOG_SITE_WINDOW_MS  1000u

/* --- net: TLS --- */
#define TLS_PAIRS_DEFAULT     64u /* buffer pairs of 33,178 bytes a worker; touched only under load */
#define TLS_PAIRS_MIN         8u /* one to write, two for whole records, some for handshakes */
#define TLS_FEED_BYTES_MAX    1048576u /* of one tls_feed */
#define TLS_PAIRS_MAX         4096u    /* 136 MB: more than a worker can have in one state */
#define TLS_POOL_WARM         8u       /* free pairs, and free workspaces, that keep their memory */
#define TLS_SHAKES_MAX        512u /* handshakes of a worker at once, 26 KiB each; more wait in line */
#define TLS_CHAIN_BYTES_MAX   16384u /* a server's certificates together; more -> TLS_CHAIN_LIMIT */
#define TLS_CHAIN_CERTS_MAX   16u    /* certificates in one chain */
#define TLS_CHAIN_CACHE_MAX   64u    /* validated chains remembered by the handshake thread */
#define TLS_CHAIN_CACHE_MS    600000 /* and for how long: ten minutes, never past notAfter */
#define TLS_SESSIONS_MAX      256u   /* resumable sessions a worker remembers, 176 bytes each */
#define TLS_SESSION_MS        3600000 /* and for how long: RFC 5246 F.1.4 allows a day */
#define TLS_ANCHORS_MAX       4096u   /* certificates in a CA bundle; public ones hold about 150 */
#define TLS_CA_FILE_BYTES_MAX 16777216u /* a CA bundle file */

/* --- net: names --- */
#define RESOLVE_ADDRS_MAX      16u     /* addresses of one name that may be tried */
#define RESOLVE_NAME_BYTES_MAX 253u    /* RFC 1035 2.3.4 in text form */
#define RESOLVE_SERVERS_MAX    3u      /* nameserver lines, as resolv.conf(5) */
#define RESOLVE_SEARCH_MAX     6u      /* search domains, as resolv.conf(5) */
#define RESOLVE_LOOKUPS_MAX    256u    /* names being asked for at once; more -> an error */
#define RESOLVE_NAMES_MAX      1024u   /* names in the cache; the least recently used goes */
#define RESOLVE_TTL_S_MAX      86400u  /* longer promises are cut */
#define RESOLVE_TTL_S_MIN      1u      /* a TTL of 0 would ask for each connection */
#define RESOLVE_NEGATIVE_S_MAX 60u     /* "no such name" is believed this long at most */
#define RESOLVE_STALE_S_MAX    86400u  /* how long a last good answer may stand in (RFC 8767) */
#define RESOLVE_FILE_BYTES_MAX 262144u /* /etc/hosts, /etc/resolv.conf */
#define RESOLVE_MS_MAX         30000u  /* one question, all servers and search domains together */
#define RESOLVE_HALF_MS        300u    /* for the second family once the first has addresses */
#define DNS_CNAMES_MAX         8u      /* aliases followed within one answer */
#define DNS_MESSAGE_BYTES_MAX  65535u  /* over TCP; UDP answers fit 1232 (we ask for no more) */

/* --- ir --- */
#define TAPE_EVENTS_MAX 1048576u /* events of one request (40 MiB of tape); more -> 413 */
#define CHOICES_MAX     8u       /* answers to one translated request (n); more -> 400 */
#define LOSS_NAMES_MAX  32u    /* names in one x-ring2api-dropped; further ones are only counted */
#define TOOLS_MAX       1024u  /* tools of one request; more -> 400 */
#define CALLS_MAX       16384u /* tool calls in one request's history; more -> 400 */

/* --- proto --- */
#define TEXT_HOLD_BYTES_MAX \
    12u /* bytes a decoder holds back: an escape, a UTF-8 sequence, a surrogate pair */
#define CALL_ARGS_BYTES_MAX  1048576u /* arguments of one call that must be gathered */
#define CALLS_ARGS_BYTES_MAX 4194304u /* all such arguments of one answer */
#define RECALL_BLOCKS_MAX    8u       /* reasoning blocks kept for one call; more -> none of them */
#define OPEN_CALLS_MAX       128u     /* tool calls open at once in one answer */
#define OUTPUT_ITEMS_MAX     2048u    /* output items of one Responses answer; more -> an error */
#define SCHEMA_DEPTH_MAX     32u      /* $ref chain and nesting while a schema is rewritten */
#define SCHEMA_BYTES_MAX     262144u  /* one rewritten tool schema */
#define SCHEMA_SUM_BYTES_MAX 2097152u /* all rewritten schemas of one request */

#define EMBED_INPUTS_MAX 2048u /* texts of one translated embedding call, as OpenAI has it */

/* --- net --- */
#define CONN_KEEP_BYTES        65536u  /* received ahead of the owner; more -> reading stops */
#define CONN_HIGH_BYTES        262144u /* output waiting at which its producer is held back */
#define CONN_LOW_BYTES         65536u  /* and at which it goes on */
#define CONN_FLUSH_MS          30000u  /* a closing connection whose peer takes nothing more */
#define CONN_LINGER_MS         2000u   /* how long we wait for the peer's end after ours */
#define CONN_END_UNIT_MS       16u     /* resolution of these two */
#define CONN_DIRECT_BYTES_MIN  65536u  /* conn_read_into: less is copied from provided buffers */
#define ENGINE_SUBMISSIONS     1024u   /* with 4096 completions: 130 KiB locked a worker */
#define ENGINE_SUBMISSIONS_MIN 256u    /* what a tight memlock limit may halve it down to */
#define ENGINE_SOCKETS_MAX     65536u  /* direct table; never above the descriptor limit */
#define RX_BUFFERS             256u    /* provided buffers reserved, RX_SEGMENT_BYTES each */
#define RX_WINDOW              16u     /* of them offered at first: what stays in the cache */
#define LISTENER_SOCKETS_LOW   64u     /* free sockets below which accepting stops */
#define LISTENER_SOCKETS_HIGH  128u    /* and from which it goes on */
#define LISTENER_BACKLOG       4096    /* the system's somaxconn may say less */
#define LISTENER_BIND_RETRY_MS 1000u   /* a dying process holds its port for some 10 ms */
#define LISTENER_RETRY_MS      100u    /* accept failed for want of descriptors or memory */

/* --- gateway: what a configuration may say --- */
#define BODY_BYTES_LIMIT_MAX   1073741824u /* limits.body_bytes, output_bytes: one block of 1 GiB */
#define CONFIG_PRINT_BYTES_MAX 65536u      /* largest block `check` writes with */
#define HELD_BYTES_MAX         65536u /* of a relayed stream before its first content; more -> sent */
#define MEMORY_SPARE_SHARE     32u    /* this part of it is for heads and refusals only */
#define MEMORY_BYTES_LIMIT_MIN 8388608u /* limits.memory_bytes: less serves nobody */

/* --- gateway --- */
#define THREAD_STACK_BYTES    1048576u /* of a worker: several times what the deepest schema needs */
#define PASS_PREFIX_BYTES     16384u   /* of a passed body that is looked at for its model */
#define CATALOG_PROVIDERS_MAX 64u      /* providers whose model lists are remembered */
#define CATALOG_BYTES         65536u   /* of one list: some 2,000 ids */
#define CATALOG_MS            600000u  /* a list is asked for again after ten minutes */
#define CATALOG_RETRY_MS      60000u   /* and after a minute when that failed */
#define CATALOG_ASK_MS        20000u   /* an answer that has not come by then will not */
#define CATALOG_WAIT_MS       3000u    /* a client waits this long for lists that were never had */
#define VAULT_BYTES           67108864u /* reasoning kept for clients that return none; touched as used */
#define VAULT_TTL_MS          3600000u /* a conversation's next turn comes sooner, or never */
#define VAULT_REASON_BYTES    131072u  /* reasoning text kept with a secret; longer is not kept */

#endif
