#ifndef R2A_CORE_LIST_H
#define R2A_CORE_LIST_H

#include <stdbool.h>
#include <stddef.h>

/* A doubly linked list through nodes embedded in their owners (container_of finds the owner). A
 * node is in at most one list. A zero node is in no list, a zero head is an empty list: neither
 * needs initialising. A head that was used must not be moved while the list has nodes. */
struct list_node {
    struct list_node *next;
    struct list_node *prev;
};

struct list {
    struct list_node head; /* circular once used; next is the first, prev the last */
};

static inline bool list_is_linked(const struct list_node *node)
{
    return node->next != NULL;
}

static inline bool list_is_empty(const struct list *list)
{
    return list->head.next == NULL || list->head.next == &list->head;
}

/* Puts `node`, which is in no list, between two neighbours. */
static inline void list_link(struct list_node *node, struct list_node *prev, struct list_node *next)
{
    node->prev = prev;
    node->next = next;
    prev->next = node;
    next->prev = node;
}

static inline void list_push_back(struct list *list, struct list_node *node)
{
    if (list->head.next == NULL)
        list->head.next = list->head.prev = &list->head;
    list_link(node, list->head.prev, &list->head);
}

static inline void list_push_front(struct list *list, struct list_node *node)
{
    if (list->head.next == NULL)
        list->head.next = list->head.prev = &list->head;
    list_link(node, &list->head, list->head.next);
}

/* Takes `node` out of whatever list it is in; a node in none is left alone. */
static inline void list_remove(struct list_node *node)
{
    if (node->next == NULL)
        return;
    node->prev->next = node->next;
    node->next->prev = node->prev;
    node->next = NULL;
    node->prev = NULL;
}

/* The first node, still linked; NULL when empty. */
static inline struct list_node *list_first(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.next;
}

static inline struct list_node *list_last(const struct list *list)
{
    return list_is_empty(list) ? NULL : list->head.prev;
}

/* The node after `node`; NULL at the end. */
static inline struct list_node *list_next(const struct list *list, const struct list_node *node)
{
    return node->next == &list->head ? NULL : node->next;
}

/* Takes the first node out; NULL when empty. */
static inline struct list_node *list_pop_front(struct list *list)
{
    struct list_node *node = list_first(list);

    if (node != NULL)
        list_remove(node);
    return node;
}

/* Moves all nodes of `from` to the end of `list`. */
static inline void list_append(struct list *list, struct list *from)
{
    if (list_is_empty(from))
        return;
    if (list->head.next == NULL)
        list->head.next = list->head.prev = &list->head;
    from->head.next->prev = list->head.prev;
    list->head.prev->next = from->head.next;
    from->head.prev->next = &list->head;
    list->head.prev = from->head.prev;
    from->head.next = from->head.prev = &from->head;
}

static inline void *list_owner_at(struct list_node *node, size_t offset)
{
    return node == NULL ? NULL : (char *)node - offset;
}

/* The owner of a node, from its member: list_owner(node, struct conn, dirty). NULL stays NULL. */
#define list_owner(node, type, member) ((type *)list_owner_at((node), offsetof(type, member)))

#endif
