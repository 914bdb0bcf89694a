// Package kernel computes features: the one place where they are computed,
// whether history is replayed into a training set, an event is applied to online
// state, or a request is answered.
//
// A View is compiled from a plan.View. Its Eval turns a batch of source rows into
// Rows: what each slot adds. Rows feed a State (the tiles of one entity, for
// online reading) or a Replay (all events of all entities, for point-in-time
// reading of a spine). Both end in the same outer expressions and the same
// statuses, as Features. A Service derives features across views.
//
// The kernel does no I/O, reads no clock, starts no goroutine. Reading as of T sees
// exactly the events with visible time < T and event time >= the window's tail; the
// result is a function of that multiset and T alone. See docs/semantics.md.
package kernel
