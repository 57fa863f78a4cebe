#include "board.h"

#include <string.h>
#include <sys/mman.h>

#include "r2a/core/check.h"

/* Records of atomics in reserved address space: they never move, so workers hold indexes and
 * nothing is ever locked. Rate limits count in one-second buckets that are claimed by the second
 * they stand for. */

struct board_bucket {
    _Atomic uint32_t second; /* low 32 bits of the second counted here */
    _Atomic uint32_t count;
};

struct board_model {
    _Atomic uint64_t model; /* hash; 0: free */
    _Atomic uint64_t until_ms;
};

struct board_record {
    _Alignas(64) uint8_t digest[32]; /* control thread only */
    _Atomic uint64_t cool_until_ms;
    _Atomic uint32_t cool_cause;      /* enum board_cause, of cool_until_ms */
    _Atomic uint64_t models_until_ms; /* the latest of `models` ever; 0: none was ever noted */
    _Atomic uint64_t turn;
    _Atomic uint32_t in_flight;
    struct board_model models[BOARD_MODELS_MAX];
    struct board_bucket buckets[BOARD_RPM_SLOTS];
};

struct board {
    _Atomic uint32_t count;
    _Alignas(64) _Atomic uint64_t connections;
    struct board_record records[BOARD_RECORDS_MAX];
};

struct board *board_open(void)
{
    void *memory = mmap(NULL, sizeof(struct board), PROT_READ | PROT_WRITE,
                        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);

    return memory == MAP_FAILED ? NULL : memory;
}

void board_close(struct board *board)
{
    munmap(board, sizeof(*board));
}

uint32_t board_record(struct board *board, const uint8_t digest[32])
{
    uint32_t count = atomic_load_explicit(&board->count, memory_order_relaxed);

    for (uint32_t i = 0; i < count; i++) {
        if (memcmp(board->records[i].digest, digest, 32) == 0)
            return i;
    }
    if (count == BOARD_RECORDS_MAX)
        return BOARD_NONE;
    memcpy(board->records[count].digest, digest, 32);
    atomic_store_explicit(&board->count, count + 1, memory_order_release);
    return count;
}

static struct board_record *at(struct board *board, uint32_t record)
{
    check(record < BOARD_RECORDS_MAX);
    return &board->records[record];
}

/* Requests in the window of 60 seconds that ends now. *free_in_ms: when the oldest of them leaves
 * it. */
static uint64_t count_window(struct board_record *record, uint32_t second, uint64_t *free_in_ms)
{
    uint64_t sum = 0;

    *free_in_ms = 1000;
    for (uint32_t age = BOARD_RPM_SLOTS; age-- > 0;) {
        struct board_bucket *bucket = &record->buckets[(second - age) % BOARD_RPM_SLOTS];

        if (atomic_load_explicit(&bucket->second, memory_order_acquire) != second - age)
            continue;
        if (sum == 0 && atomic_load_explicit(&bucket->count, memory_order_relaxed) > 0)
            *free_in_ms = (uint64_t)(BOARD_RPM_SLOTS - age) * 1000;
        sum += atomic_load_explicit(&bucket->count, memory_order_relaxed);
    }
    return sum;
}

static void count_one(struct board_record *record, uint32_t second)
{
    struct board_bucket *bucket = &record->buckets[second % BOARD_RPM_SLOTS];
    uint32_t held = atomic_load_explicit(&bucket->second, memory_order_acquire);

    /* Who moves a bucket to a new second empties it; a request counted between the two steps is
     * counted in the old second, which is wrong by one at most. */
    if (held != second && atomic_compare_exchange_strong(&bucket->second, &held, second))
        atomic_store_explicit(&bucket->count, 0, memory_order_release);
    atomic_fetch_add_explicit(&bucket->count, 1, memory_order_relaxed);
}

enum board_refusal board_key_admit(struct board *board, uint32_t record, uint64_t rpm,
                                   uint64_t concurrency, uint64_t now_ms, uint64_t *retry_after_ms)
{
    struct board_record *own = at(board, record);
    uint32_t second = (uint32_t)(now_ms / 1000) + BOARD_RPM_SLOTS; /* never 0: an empty bucket's */
    uint32_t running = atomic_fetch_add_explicit(&own->in_flight, 1, memory_order_acq_rel);

    if (concurrency > 0 && running >= concurrency) {
        atomic_fetch_sub_explicit(&own->in_flight, 1, memory_order_acq_rel);
        *retry_after_ms = 1000;
        return BOARD_CONCURRENCY;
    }
    if (rpm > 0) {
        if (count_window(own, second, retry_after_ms) >= rpm) {
            atomic_fetch_sub_explicit(&own->in_flight, 1, memory_order_acq_rel);
            return BOARD_RPM;
        }
        count_one(own, second);
    }
    return BOARD_ADMITTED;
}

void board_key_release(struct board *board, uint32_t record)
{
    uint32_t before =
        atomic_fetch_sub_explicit(&at(board, record)->in_flight, 1, memory_order_acq_rel);

    check(before > 0);
}

static void raise(_Atomic uint64_t *value, uint64_t to)
{
    uint64_t held = atomic_load_explicit(value, memory_order_relaxed);

    while (held < to && !atomic_compare_exchange_weak(value, &held, to)) {
    }
}

void board_cool(struct board *board, uint32_t record, uint64_t model, enum board_cause cause,
                uint64_t until_ms)
{
    struct board_record *own = at(board, record);
    struct board_model *place = &own->models[0];
    uint64_t earliest = UINT64_MAX;

    if (model == 0) {
        atomic_store_explicit(&own->cool_cause, (uint32_t)cause, memory_order_relaxed);
        raise(&own->cool_until_ms, until_ms);
        return;
    }
    for (uint32_t i = 0; i < BOARD_MODELS_MAX; i++) {
        struct board_model *entry = &own->models[i];
        uint64_t until = atomic_load_explicit(&entry->until_ms, memory_order_relaxed);

        if (atomic_load_explicit(&entry->model, memory_order_relaxed) == model) {
            raise(&entry->until_ms, until_ms);
            raise(&own->models_until_ms, until_ms);
            return;
        }
        if (until < earliest) {
            earliest = until;
            place = entry;
        }
    }
    /* Two workers may choose the same place: one cool-down is lost, and the service says so again.
     */
    atomic_store_explicit(&place->model, model, memory_order_relaxed);
    atomic_store_explicit(&place->until_ms, until_ms, memory_order_relaxed);
    raise(&own->models_until_ms, until_ms);
}

static struct board_model *find_model(struct board_record *own, uint64_t model)
{
    /* the usual case, no model cooling, costs one load */
    if (atomic_load_explicit(&own->models_until_ms, memory_order_relaxed) == 0)
        return NULL;
    for (uint32_t i = 0; i < BOARD_MODELS_MAX; i++) {
        if (atomic_load_explicit(&own->models[i].model, memory_order_relaxed) == model)
            return &own->models[i];
    }
    return NULL;
}

void board_warm(struct board *board, uint32_t record, uint64_t model)
{
    struct board_record *own = at(board, record);
    struct board_model *entry = find_model(own, model);

    /* a load first: the usual case must not dirty a line that all workers share */
    if (atomic_load_explicit(&own->cool_until_ms, memory_order_relaxed) != 0)
        atomic_store_explicit(&own->cool_until_ms, 0, memory_order_relaxed);
    if (entry)
        atomic_store_explicit(&entry->until_ms, 0, memory_order_relaxed);
}

uint64_t board_cool_until(struct board *board, uint32_t record, uint64_t model)
{
    struct board_record *own = at(board, record);
    uint64_t whole = atomic_load_explicit(&own->cool_until_ms, memory_order_relaxed);
    struct board_model *entry = find_model(own, model);
    uint64_t part = entry ? atomic_load_explicit(&entry->until_ms, memory_order_relaxed) : 0;

    return whole > part ? whole : part;
}

enum board_cause board_cool_cause(struct board *board, uint32_t record)
{
    struct board_record *own = at(board, record);

    if (atomic_load_explicit(&own->cool_until_ms, memory_order_relaxed) == 0)
        return BOARD_CAUSE_RATE;
    return (enum board_cause)atomic_load_explicit(&own->cool_cause, memory_order_relaxed);
}

uint64_t board_turn(struct board *board, uint32_t record)
{
    return atomic_fetch_add_explicit(&at(board, record)->turn, 1, memory_order_relaxed);
}

bool board_connection_admit(struct board *board, uint64_t limit)
{
    uint64_t before = atomic_fetch_add_explicit(&board->connections, 1, memory_order_relaxed);

    if (limit > 0 && before >= limit) {
        atomic_fetch_sub_explicit(&board->connections, 1, memory_order_relaxed);
        return false;
    }
    return true;
}

void board_connection_release(struct board *board)
{
    atomic_fetch_sub_explicit(&board->connections, 1, memory_order_relaxed);
}
