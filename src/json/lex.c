/* The tables of the JSON room: hex digits and the two directions of escaping. */
#include "lex.h"

const char lex_hex_digit[16] = {'0', '1', '2', '3', '4', '5', '6', '7',
                                '8', '9', 'a', 'b', 'c', 'd', 'e', 'f'};

#define N -1
const int8_t lex_hex[256] = {
    /* clang-format off */
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  0, 1, 2, 3, 4, 5, 6, 7, 8, 9, N, N, N, N, N, N,
    N,10,11,12,13,14,15, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N,10,11,12,13,14,15, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,  N, N, N, N, N, N, N, N, N, N, N, N, N, N, N, N,
    /* clang-format on */
};
#undef N

const char lex_unescape[256] = {
    ['"'] = '"',  ['\\'] = '\\', ['/'] = '/',  ['b'] = '\b',
    ['f'] = '\f', ['n'] = '\n',  ['r'] = '\r', ['t'] = '\t',
};

const uint8_t lex_escape[256] = {
    /* clang-format off */
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'b', 't', 'n', 'u', 'f', 'r', 'u', 'u',
    'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u', 'u',
    /* clang-format on */
    ['"'] = '"',
    ['\\'] = '\\',
};
