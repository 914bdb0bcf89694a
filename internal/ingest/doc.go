// Package ingest turns the rows of a source into canonical events: the one place
// where times are checked, known times arise and event ids are read, for training,
// materialization and pushed events alike (docs/semantics.md §1, §2, §7). It also encodes
// rows for the event log.
package ingest
