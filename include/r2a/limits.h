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

/* --- ir --- */
#define TAPE_EVENTS_MAX 1048576u /* events of one request (40 MiB of tape); more -> 413 */
#define LOSS_NAMES_MAX  32u    /* names in one x-ring2api-dropped; further ones are only counted */
#define TOOLS_MAX       1024u  /* tools of one request; more -> 400 */
#define CALLS_MAX       16384u /* tool calls in one request's history; more -> 400 */

/* --- proto --- */
#define TEXT_HOLD_BYTES_MAX \
    12u /* bytes a decoder holds back: an escape, a UTF-8 sequence, a surrogate pair */
#define CALL_ARGS_BYTES_MAX  1048576u /* arguments of one call that must be gathered */
#define CALLS_ARGS_BYTES_MAX 4194304u /* all such arguments of one answer */
#define OPEN_CALLS_MAX       128u     /* tool calls open at once in one answer */
#define SCHEMA_DEPTH_MAX     32u      /* $ref chain and nesting while a schema is rewritten */
#define SCHEMA_BYTES_MAX     262144u  /* one rewritten tool schema */
#define SCHEMA_SUM_BYTES_MAX 2097152u /* all rewritten schemas of one request */

#endif
