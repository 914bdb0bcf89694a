package featuredefs_test

import (
	"path/filepath"
	"strings"
	"testing"
	"time"
)

const zonesText = `
kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: clicks
stream: true
event_time: ts
event_id: id
columns:
  user_id: {type: int}
  ts: {type: timestamp}
  id: {type: string}
---
kind: FeatureView
name: v
entity: user
source: clicks
features:
`

// The known zones are those of the embedded database, with which values are computed,
// whatever database the host has.
func TestZonesAreEmbedded(t *testing.T) {
	host := t.TempDir()
	file := "TZif" + strings.Repeat("\x00", 32) + "\x00\x00\x00\x01\x00\x00\x00\x04" + strings.Repeat("\x00", 6) + "UTC\x00"
	for _, name := range []string{"localtime", "posix/Europe/Berlin", "Office"} {
		writeFile(t, filepath.Join(host, name), file)
	}
	t.Setenv("ZONEINFO", host)
	if _, err := time.LoadLocation("Office"); err != nil {
		t.Fatalf("the host's database was not set up: %v", err)
	}
	for zone, known := range map[string]bool{
		"localtime": false, "posix/Europe/Berlin": false, "Office": false, "Europe": false, "Local": false, "europe/berlin": false,
		"Europe/Berlin": true, "UTC": true, "Etc/GMT+5": true, "+05:30": true,
	} {
		dir := t.TempDir()
		writeFile(t, filepath.Join(dir, "unskew.yaml"), "project: zones\n")
		writeFile(t, filepath.Join(dir, "features/defs.yaml"), zonesText+"  f: 'latest(ts.getHours(\""+zone+"\"))'\n")
		if _, found := load(t, dir); found.HasErrors() == known {
			t.Errorf("zone %q: known %v, found %s", zone, known, render(t, found))
		}
	}
}
