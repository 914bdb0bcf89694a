package oracle

// Deduplicate is exported for the engine's side of the property tests: the kernel
// expects events without redeliveries.
var Deduplicate = deduplicate
