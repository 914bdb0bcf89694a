// Package kernel computes features. It is the only implementation, used to replay history
// into a training set, to apply events to online state, and to answer requests.
//
// A View is compiled from a plan.View. Its Eval turns a batch of source rows into
// Rows: what each slot adds. Rows are input of a State (the tiles of one entity, for
// online reads) or a Replay (all events of all entities, for point-in-time reads of a
// spine). Both evaluate the same outer expressions and return values and statuses as
// Features. A Service derives features across views.
//
// The kernel does no I/O, reads no clock and starts no goroutine. Reading as of T sees
// exactly the events with visible time < T and event time >= the window's tail; the
// result depends only on that multiset and T. See docs/semantics.md.
package kernel
