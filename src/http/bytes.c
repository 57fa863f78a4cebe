/* The table of byte classes, worked out by the compiler from the grammars' own words, so that there
 * are no 256 numbers to believe. */
#include "bytes.h"

#define IS_LOWER(c) ((c) >= 'a' && (c) <= 'z')
#define IS_UPPER(c) ((c) >= 'A' && (c) <= 'Z')
#define IS_DIGIT(c) ((c) >= '0' && (c) <= '9')
#define IS_ALNUM(c) (IS_LOWER(c) || IS_UPPER(c) || IS_DIGIT(c))
#define IS_HEX(c)   (IS_DIGIT(c) || ((c) >= 'a' && (c) <= 'f') || ((c) >= 'A' && (c) <= 'F'))
#define IS_TOKEN(c)                                                                       \
    (IS_ALNUM(c) || (c) == '!' || (c) == '#' || (c) == '$' || (c) == '%' || (c) == '&' || \
     (c) == '\'' || (c) == '*' || (c) == '+' || (c) == '-' || (c) == '.' || (c) == '^' || \
     (c) == '_' || (c) == '`' || (c) == '|' || (c) == '~')
#define IS_UNRESERVED(c) (IS_ALNUM(c) || (c) == '-' || (c) == '.' || (c) == '_' || (c) == '~')
#define IS_SUB_DELIM(c)                                                                   \
    ((c) == '!' || (c) == '$' || (c) == '&' || (c) == '\'' || (c) == '(' || (c) == ')' || \
     (c) == '*' || (c) == '+' || (c) == ',' || (c) == ';' || (c) == '=')

#define CLASS(c)                                                                        \
    (uint8_t)((IS_TOKEN(c) ? BYTE_TOKEN : 0) |                                          \
              (((c) >= 0x20 && (c) != 0x7f) || (c) == '\t' ? BYTE_VALUE : 0) |          \
              ((c) >= 0x21 && (c) <= 0x7e ? BYTE_TARGET : 0) |                          \
              (IS_UNRESERVED(c) ? BYTE_UNRESERVED : 0) |                                \
              (IS_UNRESERVED(c) || IS_SUB_DELIM(c) || (c) == '%' ? BYTE_REG_NAME : 0) | \
              (IS_HEX(c) ? BYTE_HEX : 0) | (IS_DIGIT(c) ? BYTE_DIGIT : 0))
#define CLASS4(c)  CLASS(c), CLASS((c) + 1), CLASS((c) + 2), CLASS((c) + 3)
#define CLASS16(c) CLASS4(c), CLASS4((c) + 4), CLASS4((c) + 8), CLASS4((c) + 12)
#define CLASS64(c) CLASS16(c), CLASS16((c) + 16), CLASS16((c) + 32), CLASS16((c) + 48)

const uint8_t http_byte_class[256] = {CLASS64(0), CLASS64(64), CLASS64(128), CLASS64(192)};
