package inprocess_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/unskew/unskew/inprocess"
	"github.com/unskew/unskew/internal/servedlog"
	"github.com/unskew/unskew/sdk"
)

// Predictions and outcomes are logged for the rows of an answer, each once, under the id that the served log has. An outcome that is known later
// fills its column.
func TestPredictionsAndOutcomesAreLoggedOnce(t *testing.T) {
	dir := write(t, definitions+"predictions: {score: double}\noutcomes: {fraud: bool, lost: double}\n")
	if err := os.WriteFile(filepath.Join(dir, "unskew.yaml"), []byte("project: shop\nserved_log: {rate: 100%, folder: recorded}\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	f := open(t, dir)
	client := f.Client()
	var answered []sdk.AnsweredRow
	for _, id := range []string{"", "mine"} {
		rows, err := client.GetFeatures(t.Context(), "fraud_v1", []sdk.Column{sdk.Ints("user_id", 7, 8)}, nil, sdk.RequestID(id))
		if err != nil || rows.RequestID == "" || id != "" && rows.RequestID != id {
			t.Fatal(rows, err)
		}
		answered = append(answered, rows.IDs()...)
	}
	check := func(what string, got []sdk.Pushed, err error, want ...sdk.Outcome) {
		t.Helper()
		var outcomes []sdk.Outcome
		for _, p := range got {
			outcomes = append(outcomes, p.Outcome)
		}
		if err != nil || fmt.Sprint(outcomes) != fmt.Sprint(want) {
			t.Errorf("%s: %v %v, want %v", what, outcomes, err, want)
		}
	}
	at := time.Now()
	predict := func(model string, at time.Time, scores ...float64) ([]sdk.Pushed, error) {
		return client.LogPredictions(t.Context(), "fraud_v1", model, answered, at, sdk.Doubles("score", scores...))
	}
	got, err := predict("m1", at, 0.1, 0.2, 0.3, 0.4)
	check("first", got, err, sdk.Appended, sdk.Appended, sdk.Appended, sdk.Appended)
	got, err = predict("m1", at, 0.1, 0.2, 0.3, 0.5)
	check("again", got, err, sdk.Duplicate, sdk.Duplicate, sdk.Duplicate, sdk.Conflict)
	got, err = predict("m2", time.Time{}, 0.1, 0.2, 0.3, 0.4)
	check("another model", got, err, sdk.Appended, sdk.Appended, sdk.Appended, sdk.Appended)

	when := []time.Time{at.Add(-time.Hour), at}
	got, err = client.LogOutcomes(t.Context(), "fraud_v1", answered[1:3], when, sdk.Bools("fraud", true, false))
	check("outcome", got, err, sdk.Appended, sdk.Appended)
	got, err = client.LogOutcomes(t.Context(), "fraud_v1", answered[1:2], when[:1], sdk.Doubles("lost", 12.5))
	check("a further one", got, err, sdk.Filled)
	got, err = client.LogOutcomes(t.Context(), "fraud_v1", answered[:1], nil, sdk.Bools("fraud", true))
	check("now", got, err, sdk.Appended)

	if _, err := client.LogOutcomes(t.Context(), "fraud_v1", []sdk.AnsweredRow{{}}, nil, sdk.Bools("fraud", true)); err == nil || !strings.Contains(err.Error(), "no request id") {
		t.Error(err)
	}
	if _, err := client.LogPredictions(t.Context(), "fraud_v2", "m1", answered[:1], at, sdk.Doubles("score", 1)); err == nil || !strings.Contains(err.Error(), "fraud_v2_predictions") {
		t.Error(err)
	}
	recorded(t, f, dir, answered)
}

// recorded checks that the served log has the rows that were answered.
func recorded(t *testing.T, f *inprocess.Features, dir string, want []sdk.AnsweredRow) {
	t.Helper()
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
	var got []sdk.AnsweredRow
	for r, err := range s.Rows() {
		if err != nil {
			t.Fatal(err)
		}
		got = append(got, sdk.AnsweredRow{RequestID: r.RequestID, Row: r.Number})
	}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("recorded %v, want %v", got, want)
	}
}
