package sdk

import (
	"context"
	"fmt"
	"time"
)

// AnsweredRow is a row of a request that was answered: what predictions and outcomes are about.
type AnsweredRow struct {
	RequestID string
	Row       int // from 0
}

// IDs are the rows of the answer, for LogPredictions and LogOutcomes. The read must have had the option RequestID.
func (r *Rows) IDs() []AnsweredRow {
	out := make([]AnsweredRow, r.n)
	for i := range out {
		out[i] = AnsweredRow{r.RequestID, i}
	}
	return out
}

// LogPredictions logs what a model predicted from answers of a service, which declares the columns under predictions:. The columns
// have one row for each of rows; at is when the predictions were made, now if it is zero. Logging them again has no effect: the
// outcome is Duplicate, or Conflict if a value or at is another one than at first, which stays. Calls that get no answer are repeated.
func (c *Client) LogPredictions(ctx context.Context, service, model string, rows []AnsweredRow, at time.Time, cols ...Column) ([]Pushed, error) {
	times, models, ids := make([]time.Time, len(rows)), make([]string, len(rows)), make([]string, len(rows))
	if at.IsZero() {
		at = time.Now()
	}
	for i, r := range rows {
		times[i], models[i] = at, model
		ids[i] = fmt.Sprintf("%s/%d/%s", r.RequestID, r.Row, model)
	}
	return c.logFeedback(ctx, service+"_predictions", rows, append([]Column{Strings("prediction_id", ids...), Times("predicted_at", times...), Strings("model", models...)}, cols...))
}

// LogOutcomes logs what came of requests to a service, which declares the columns under outcomes:. The columns have one row for each of
// rows; observedAt is when it came about, of each row, now if it is nil. Columns that are null, or left out, can be filled by a
// later call with the same times. Logging them again has no effect, as with LogPredictions.
func (c *Client) LogOutcomes(ctx context.Context, service string, rows []AnsweredRow, observedAt []time.Time, cols ...Column) ([]Pushed, error) {
	ids := make([]string, len(rows))
	for i, r := range rows {
		ids[i] = fmt.Sprintf("%s/%d", r.RequestID, r.Row)
	}
	if observedAt == nil {
		now := time.Now()
		for range rows {
			observedAt = append(observedAt, now)
		}
	}
	return c.logFeedback(ctx, service+"_outcomes", rows, append([]Column{Strings("outcome_id", ids...), Times("observed_at", observedAt...)}, cols...))
}

// logFeedback pushes rows with ids.
func (c *Client) logFeedback(ctx context.Context, source string, of []AnsweredRow, cols []Column) ([]Pushed, error) {
	ids, rows := make([]string, len(of)), make([]int64, len(of))
	for i, r := range of {
		if r.RequestID == "" {
			return nil, fmt.Errorf("push to source %s: row %d has no request id; read with the option RequestID", source, i)
		}
		ids[i], rows[i] = r.RequestID, int64(r.Row)
	}
	return c.push(context.WithValue(ctx, repeatable{}, true), source, columns(append(cols, Strings("request_id", ids...), Ints("request_row", rows...))))
}
