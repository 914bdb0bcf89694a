package inprocess_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/inprocess"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/sdk"
)

const definitions = `kind: Entity
name: user
keys: [{name: user_id, type: int}]
---
kind: Source
name: payments
stream: true
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  user_id: {type: int}
  amount: {type: double}
---
kind: FeatureView
name: spending
entity: user
source: payments
features:
  payments: count()
  spent: sum(amount)
---
kind: FeatureService
name: fraud_v1
features: [spending]
`

// write makes a project folder.
func write(t *testing.T, definitions string) string {
	t.Helper()
	dir := t.TempDir()
	for name, text := range map[string]string{"unskew.yaml": "project: shop\n", "features/shop.yaml": definitions} {
		path := filepath.Join(dir, name)
		if err := os.MkdirAll(filepath.Dir(path), 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	return dir
}

func open(t *testing.T, dir string) *inprocess.Features {
	t.Helper()
	f, err := inprocess.Open(t.Context(), dir, inprocess.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return f
}

// What is pushed in the process is served in it, also after the store was closed and opened.
func TestPushAndRead(t *testing.T) {
	dir := write(t, definitions)
	f := open(t, dir)
	got, err := f.Client().NewPusher(sdk.PusherConfig{Source: "payments", EventID: "id"}).Push(t.Context(),
		sdk.Strings("id", "a", "b"), sdk.Times("at", time.Now(), time.Now()), sdk.Ints("user_id", 7, 7), sdk.Doubles("amount", 2.5, 4))
	if err != nil || got[1].Outcome != sdk.Appended || got[1].Position != 2 {
		t.Fatalf("push: %v, %v", got, err)
	}
	for deadline := time.Now().Add(10 * time.Second); spent(t, f) != 6.5; {
		if time.Now().After(deadline) {
			t.Fatal("the pushed events are not served")
		}
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := f.Client().ListServices(t.Context()); err != nil {
		t.Errorf("list services of a closed store: %v", err)
	}
	if _, err := f.Client().GetFeatures(t.Context(), "fraud_v1", []sdk.Column{sdk.Ints("user_id", 7)}, nil); err == nil || !strings.Contains(err.Error(), "unavailable: ") {
		t.Errorf("read from a closed store: %v", err)
	}

	f = open(t, dir)
	defer f.Close()
	if got := spent(t, f); got != 6.5 {
		t.Errorf("spent %v after the store was opened again, want 6.5", got)
	}
}

func spent(t *testing.T, f *inprocess.Features) float64 {
	t.Helper()
	rows, err := f.Client().GetFeatures(t.Context(), "fraud_v1", []sdk.Column{sdk.Ints("user_id", 7)}, nil, sdk.WithFreshness())
	if err != nil {
		t.Fatal(err)
	}
	feature, err := rows.Feature("spending.spent")
	if err != nil {
		t.Fatal(err)
	}
	values, err := sdk.Values[float64](feature)
	if err != nil {
		t.Fatal(err)
	}
	if len(rows.Freshness) != 1 {
		t.Errorf("freshness of %d views, want 1", len(rows.Freshness))
	}
	return values[0]
}

func TestOpenRefuses(t *testing.T) {
	if _, err := inprocess.Open(t.Context(), t.TempDir(), inprocess.Options{}); err == nil {
		t.Error("a folder without a project was opened")
	}
	dir := write(t, strings.Replace(definitions, "sum(amount)", "sum(amout)", 1))
	if _, err := inprocess.Open(t.Context(), dir, inprocess.Options{}); err == nil || !strings.Contains(err.Error(), `shop.yaml:22`) {
		t.Errorf("definitions with an error: %v", err)
	}
	dir = write(t, definitions)
	f := open(t, dir)
	defer f.Close()
	if _, err := inprocess.Open(t.Context(), dir, inprocess.Options{}); err == nil || !strings.Contains(err.Error(), "in use") {
		t.Errorf("a store that is open: %v", err)
	}
}

// With served_log in the project, what is answered is recorded; a secret that is missing is an error.
func TestAnswersAreRecorded(t *testing.T) {
	dir := write(t, definitions)
	config := "project: shop\nserved_log: {services: {fraud_v1: 100%}, folder: recorded, hash_keys: {env: SERVED_SECRET}}\n"
	if err := os.WriteFile(filepath.Join(dir, "unskew.yaml"), []byte(config), 0o644); err != nil {
		t.Fatal(err)
	}
	if f, err := inprocess.Open(t.Context(), dir, inprocess.Options{}); err == nil || !strings.Contains(err.Error(), "the environment variable SERVED_SECRET has 0 bytes") {
		t.Errorf("without a secret: %v %v", f, err)
	}
	t.Setenv("SERVED_SECRET", "0123456789abcdef")
	f := open(t, dir)
	if _, err := f.Client().GetFeatures(t.Context(), "fraud_v1", []sdk.Column{sdk.Ints("user_id", 7, 8)}, nil); err != nil {
		t.Error(err)
	}
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	files, err := servedlog.List(filepath.Join(dir, "recorded"))
	if err != nil || len(files) != 1 {
		t.Fatal(files, err)
	}
	s, err := servedlog.Open(files[0].Path)
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	n := 0
	for r, err := range s.Rows() {
		if n++; err != nil || len(r.Keys[0].Str()) != 64 || r.Outputs[0].Status != "PRESENT" {
			t.Errorf("%+v %v", r, err)
		}
	}
	if n != 2 || !s.KeysHashed {
		t.Errorf("%d rows", n)
	}
}
