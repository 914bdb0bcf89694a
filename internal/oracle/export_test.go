package oracle

// Deduplicate is exported because the kernel, in the property tests, expects events without
// redeliveries.
var Deduplicate = deduplicate
