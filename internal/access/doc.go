// Package access tells who calls a server, and what a caller may do.
//
// A callers file lists the callers with their roles and the SHA-256 of their tokens. A token is 256
// random bits, so its hash needs no salt and no slow function: nobody can try them all.
//
// It may also list OpenID providers, whose signed tokens name the caller and, by a claim, the roles.
package access
