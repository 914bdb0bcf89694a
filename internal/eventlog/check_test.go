package eventlog

import (
	"encoding/hex"
	"strings"
	"testing"
)

func TestCheck(t *testing.T) {
	big := make([]byte, MaxAppendBytes)
	for _, c := range []struct {
		name, shard string
		entries     []Entry
		want        string
	}{
		{"ok", "s", []Entry{{ID: strings.Repeat("i", MaxIDBytes)}, {}}, ""},
		{"full", strings.Repeat("s", MaxShardBytes), []Entry{{Payload: big}}, ""},
		{"no shard", "", nil, "no name"},
		{"long shard", strings.Repeat("s", MaxShardBytes+1), nil, "at most 1024"},
		{"long id", "s", []Entry{{}, {ID: strings.Repeat("i", MaxIDBytes+1)}}, "entry 1"},
		{"too much", "s", []Entry{{Payload: big}, {ID: "i"}}, "several calls"},
	} {
		err := Check(c.shard, c.entries)
		if (err == nil) != (c.want == "") || err != nil && !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s: %v, want %q", c.name, err, c.want)
		}
	}
}

// The digest is part of both formats on disk.
func TestDigestIsFixed(t *testing.T) {
	d := DigestOf(nil)
	if got := hex.EncodeToString(d[:]); got != "e3b0c44298fc1c149afbf4c8996fb924" {
		t.Errorf("digest of no bytes = %s", got)
	}
}
