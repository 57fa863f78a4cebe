#ifndef R2A_GATEWAY_CONFIG_H
#define R2A_GATEWAY_CONFIG_H

#include <stdatomic.h>

#include "r2a/provider/provider.h"

/* A configuration generation: parsed, checked and compiled by the control thread into one arena of
 * its own, immutable from then on. Workers hold a pointer; each exchange holds a reference to the
 * generation it began with. */

struct cfg_address {
    bool is_unix;
    bool is_loopback;
    struct slice text;     /* as configured */
    struct slice path;     /* unix */
    uint8_t sockaddr[128]; /* struct sockaddr_storage bytes */
    uint32_t sockaddr_len;
};

struct cfg_key {
    struct slice name; /* "key1" … when not named */
    uint8_t
        digest[32]; /* SHA-256 of the key: compared in constant time, the key itself is not kept */
    struct slice *models; /* globs, `!glob` excludes; none: all */
    uint32_t models_count;
    uint64_t rpm; /* 0: no limit */
    uint64_t concurrency;
    int8_t strict; /* -1 not set */
    bool is_disabled;
    uint32_t board; /* record on the board */
};

struct cfg_target {
    uint32_t provider;  /* index */
    struct slice model; /* upstream id, empty: as asked */
    uint32_t weight;    /* 1 by default; 0: only when nothing else can */
};

struct cfg_route {
    struct slice model; /* glob */
    struct cfg_target *to;
    uint32_t to_count;
    struct cfg_target *fallback;
    uint32_t fallback_count;
    struct timeouts timeouts;
    int8_t strict;
    uint32_t counter; /* index of its round-robin counter on the board */
};

struct cfg_limits {
    uint64_t body_bytes, header_bytes, connections, output_bytes, memory_bytes;
};

struct config {
    _Atomic uint32_t refs;
    uint32_t generation;
    struct slice file; /* path, or empty */

    struct cfg_address *listens;
    uint32_t listens_count;
    uint32_t workers; /* 0: one a CPU */
    struct cfg_key *keys;
    uint32_t keys_count;
    bool allow_unauthenticated;
    struct provider_instance *providers;
    uint32_t providers_count;
    struct cfg_route *routes;
    uint32_t routes_count;
    int32_t default_provider; /* -1: none */
    struct default_model default_model;
    struct slice system_text;
    uint8_t system_mode; /* enum system_mode */
    bool strict;
    struct profile_rule *profiles;
    uint32_t profiles_count;
    struct retry_rule retry;  /* complete: defaults filled in */
    struct cfg_limits limits; /* complete */
    struct timeouts timeouts; /* complete */
    struct slice *cors;       /* origins; "*" for any */
    uint32_t cors_count;
    struct cfg_address *admin_listens;
    uint32_t admin_listens_count;
    bool has_admin;
    bool has_admin_key;
    uint8_t admin_digest[32];
    struct slice tls_ca_file; /* empty: SSL_CERT_FILE, then the system's */
    bool is_demo;             /* nothing configured: echo on 127.0.0.1:3000 */
    bool log_json;
    uint8_t log_level;
    uint64_t echo_delay_ms; /* ECHO_DELAY_MS */
    struct slice *secrets;  /* every secret of this generation, for masking */
    uint32_t secrets_count;
    void *arena; /* private */
};

struct config_report;

/* What the command line says; strings borrow from argv. Repeated flags: the last wins. */
struct config_flags {
    const char *file;   /* -c */
    const char **pairs; /* flag, value, flag, value … without the dashes */
    uint32_t pairs_count;
};

/* Takes the arguments behind the command's name: -c FILE, --flag value, --flag=value. `pairs` has
 * room for 2 * count pointers. Unknown flags and missing values are reported; what they mean is
 * config_load's business. False after an error. */
bool config_flags_read(int count, char **arguments, const char **pairs, struct config_flags *flags,
                       struct config_report *report);
/* Calls put for every flag with the words that explain it, for --help. */
void config_flags_list(void (*put)(void *context, const char *flag, const char *value,
                                   const char *help),
                       void *context);

/* Where messages go: one line each, "FILE:LINE:COL: what is wrong, and the fix". */
struct config_report {
    void (*line)(void *context, bool is_error, struct slice text);
    void *context;
    uint32_t errors;
    uint32_t warnings;
};

/* Reads file, environment and flags into a new generation with one reference, or NULL after at
 * least one error was reported. Every error of the file is reported, not only the first. */
struct config *config_load(const struct config_flags *flags, struct config_report *report);
void config_ref(struct config *config, uint32_t count);
void config_unref(struct config *config); /* frees at the last one */
/* Writes the effective configuration as JSON, secrets masked. */
void config_print(const struct config *config, struct rope *out);
/* Provider by name, or NULL. */
const struct provider_instance *config_provider(const struct config *config, struct slice name);

#endif
