package main

import (
	"context"
	"errors"
	"fmt"

	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/backend"
	"github.com/unskew/unskew/internal/ledger"
	"github.com/unskew/unskew/internal/onlinestore"
	"github.com/unskew/unskew/materializer/offline"
)

// ledgers reads what servers have recorded of the visibility of the events that a service reads. st is nil if the project has no store yet.
func ledgers(ctx context.Context, st *backend.Backend, service *plan.Service) (offline.LedgerOf, error) {
	if st == nil {
		return nil, errNoLedger(service)
	}
	return ledgersIn(ctx, st.Store, service)
}

func errNoLedger(service *plan.Service) error {
	return fmt.Errorf("nothing is recorded of when serving saw the events that service %s reads: servers record it of streams while they run, and unskew materialize of files", service.Name)
}

func ledgersIn(ctx context.Context, store onlinestore.Store, service *plan.Service) (offline.LedgerOf, error) {
	views := map[string][]string{}
	for _, ref := range service.Views {
		views[ref.View.Source.Name] = append(views[ref.View.Source.Name], ref.View.Name)
	}
	out := offline.LedgerOf{}
	for source, names := range views {
		recorded, err := ledger.Read(ctx, store, source)
		if err != nil {
			return nil, err
		}
		if of := recorded.Of(names); of != nil {
			out[source] = of
		}
	}
	if len(out) == 0 {
		return nil, errNoLedger(service)
	}
	return out, nil
}

// checkAsOf checks what a training set is as of.
func checkAsOf(asOf string, set *plan.TrainingSet) error {
	if set.Spine.Served && asOf != "known" {
		return errors.New("as of " + asOf + " has no meaning for values that were served")
	}
	return nil
}
