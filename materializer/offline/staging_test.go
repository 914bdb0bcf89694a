package offline

import (
	"os"
	"path/filepath"
	"slices"
	"testing"
)

func names(t *testing.T, dir string) []string {
	t.Helper()
	entries, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Name())
	}
	return out
}

func stage(t *testing.T, dir string) *staging {
	t.Helper()
	s, err := newStaging(dir)
	if err != nil {
		t.Fatal(err)
	}
	f, err := s.create("data.parquet")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.Write([]byte("rows")); err != nil {
		t.Fatal(err)
	}
	return s
}

func TestAbandonedStagingLeavesNoDirectory(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "out")
	stage(t, dir).abandon()
	if _, err := os.Stat(dir); !os.IsNotExist(err) {
		t.Errorf("the directory that was made for it is still there: %v", err)
	}
	if err := os.Mkdir(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	stage(t, dir).abandon()
	if got := names(t, dir); len(got) != 0 {
		t.Errorf("the directory that was there holds %v", got)
	}
}

// A run that was killed leaves files with temporary names; the next one that succeeds
// removes them and nothing else.
func TestPublishSweeps(t *testing.T) {
	dir := t.TempDir()
	stage(t, dir) // and dies
	for _, name := range []string{".gitkeep", "notes.partial", ".scratch-1.partial"} {
		if err := os.WriteFile(filepath.Join(dir, name), nil, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	s := stage(t, dir)
	if err := s.publish(nil); err != nil {
		t.Fatal(err)
	}
	s.abandon()
	if got := names(t, dir); !slices.Equal(got, []string{".gitkeep", "data.parquet", "notes.partial"}) {
		t.Errorf("left %v", got)
	}
}
