/* The contract between a program and the schema of its database (sql/0016). A program knows the
 * number of the last migration it was written with; a schema has the number of its last migration
 * and the oldest number that it still serves. */
#ifndef MEDIA_SCHEMA_H
#define MEDIA_SCHEMA_H

#include <stddef.h>

/* This program's number: the last file of sql/, which test_schema.c compares it with. */
#define MEDIA_SCHEMA 17

#define MEDIA_SCHEMA_TEXT 96 /* room for media_schema_text() */

/* Of a database; version 0: it has none that is known, being empty or of before 0016. */
typedef struct {
    int version;
    int oldest;
} media_schema_t;

/* The columns of the statement SCHEMA, NULL where there is no row or value. [any] */
media_schema_t media_schema_read(const char *version, const char *oldest);
/* 1 if the error that SCHEMA was answered with says that the database has no numbers. [any] */
int media_schema_missing(const char *sqlstate);
/* 1 if this program works on that schema. [any] */
int media_schema_fits(media_schema_t s);
/* What is to be said of one that does not fit, both numbers in it: "schema 15, this program needs
 * 16". Empty for one that fits. Returns dst. [any] */
const char *media_schema_text(media_schema_t s, char *dst, size_t cap);

#endif
