package eventlog

import "fmt"

// LostError says that a shard has fewer records than this process knows it had: its server went back to an older copy. Once found, it
// stays; what is done about it is done elsewhere.
type LostError struct {
	Shard      string
	Had, Found Position // the last record that was acknowledged or seen, and the last one that was there when that was noticed
}

// Error names the way out.
func (e *LostError) Error() string {
	source := SourceOf(e.Shard)
	return fmt.Sprintf("the log of source %s (shard %s) ended at position %d and then at %d: its server went back to an older copy, as in a failover to a replica that lagged, "+
		"and events that were acknowledged are lost. Push again what can be sent again (events that are there count once), "+
		"run unskew materialize --full for the views over the source, and restart this server", source, e.Shard, e.Had, e.Found)
}
