package golden

import (
	"context"
	"fmt"
	"slices"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/oracle"
)

// estimates are the replay's values of the aggregates of a case that are not exact, by view,
// aggregate, key and as-of time.
type estimates map[string]plan.Value

func estimateKey(v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) string {
	b := fmt.Appendf(nil, "%s %d %d ", v.Name, aggregate, at)
	for _, k := range key {
		b = plan.AppendCanonical(b, k)
	}
	return string(b)
}

func (e estimates) of(v *plan.View, aggregate int, key []plan.Value, at plan.EventTime) (plan.Value, error) {
	value, ok := e[estimateKey(v, aggregate, key, at)]
	if !ok {
		return plan.Value{}, fmt.Errorf("view %s: the replay has no estimate as of %v", v.Name, at)
	}
	return value, nil
}

// newEstimates replays the aggregates of every view of the case that are not exact.
func newEstimates(ctx context.Context, c *Case) (estimates, error) {
	e := estimates{}
	for rows := range slices.Chunk(c.Rows, replayRows) {
		part := *c
		part.Rows = rows
		for _, ref := range c.Service.Views {
			if err := e.replay(ctx, &part, ref); err != nil {
				return nil, err
			}
		}
	}
	return e, nil
}

func (e estimates) replay(ctx context.Context, c *Case, ref plan.ViewRef) error {
	bare, aggregates := estimating(ref.View)
	if len(aggregates) == 0 {
		return nil
	}
	v := ref.View
	ref.View = bare
	_, at := spine(c)
	out, _, err := replayView(ctx, c, &ref, at)
	if err != nil {
		return err
	}
	keys := keyColumns(c, &ref)
	for row := range at {
		key := make([]plan.Value, len(keys))
		for k, col := range keys {
			key[k] = col.Value(row)
		}
		for i, a := range aggregates {
			value := out.Cols[i].Vec.Value(row)
			if bare.Features[i].Type.Kind == plan.Optional {
				value = optional(value)
			}
			e[estimateKey(v, a, key, at[row])] = value
		}
	}
	return nil
}

// estimating is v with other features: one for each aggregate that is not exact.
func estimating(v *plan.View) (bare *plan.View, aggregates []int) {
	copied := *v
	copied.Features, copied.Order = nil, nil
	for i, a := range v.Aggregates {
		slot := v.Slots[a.Slot]
		if oracle.Exact(slot.Func) {
			continue
		}
		copied.Order = append(copied.Order, len(aggregates))
		copied.Features = append(copied.Features, &plan.Feature{
			Name: fmt.Sprintf("aggregate %d", i), Type: slot.Type,
			Expr: &plan.Expr{Kind: plan.Aggregate, Index: i, Type: slot.Type},
		})
		aggregates = append(aggregates, i)
	}
	return &copied, aggregates
}

func optional(v plan.Value) plan.Value {
	if v.IsNull() {
		return plan.NoneValue()
	}
	return plan.OptionalValue(v)
}
