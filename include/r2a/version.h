#ifndef R2A_VERSION_H
#define R2A_VERSION_H

/* The program's version, one place: --version, User-Agent, /health. */
#define R2A_VERSION "0.1.0"

#endif
