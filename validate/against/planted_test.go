package against_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/defstest"
	"github.com/unskew/unskew/featuredefs/plan"
	"github.com/unskew/unskew/internal/celenv"
	"github.com/unskew/unskew/internal/relation"
	"github.com/unskew/unskew/validate/against"
)

const prices = `kind: Entity
name: offer
keys: [{name: offer_id, type: int}]
---
kind: Source
name: changes
from: changes.csv
event_time: at
event_id: id
columns:
  id: {type: string}
  at: {type: timestamp}
  offer_id: {type: int}
  price: {type: double}
---
kind: FeatureView
name: offers
entity: offer
source: changes
features:
  price: latest(price)
  first: earliest(price)
---
kind: FeatureService
name: rank
features: [offers]
`

const hour = plan.EventTime(plan.Hour)

// change is an event of the shop.
type change struct {
	offer int
	at    plan.EventTime
	id    string
	price float64
}

// asked is a row for which another system has values.
type asked struct {
	offer int
	at    plan.EventTime
}

// shop is a project with random changes at the multiples of a step, and rows of times at which somebody asks.
type shop struct {
	dir     string
	changes []change
	asked   []asked
}

const offers = 30

func newShop(t *testing.T, random *rand.Rand, step plan.EventTime) *shop {
	t.Helper()
	s := &shop{dir: t.TempDir()}
	var csv strings.Builder
	csv.WriteString("id,at,offer_id,price\n")
	for i := range 2000 {
		c := change{random.IntN(offers), begin + plan.EventTime(random.Int64N(int64(60*day)))/step*step, fmt.Sprintf("c%04d", i), float64(random.IntN(1e6)) / 8}
		s.changes = append(s.changes, c)
		fmt.Fprintf(&csv, "%s,%s,%d,%g\n", c.id, c.at, c.offer, c.price)
	}
	if err := os.WriteFile(filepath.Join(s.dir, "changes.csv"), []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	defstest.Write(t, s.dir, prices)
	for range 800 {
		s.asked = append(s.asked, asked{random.IntN(offers + 3), begin + 5*day + plan.EventTime(random.Int64N(int64(55*day)))})
	}
	return s
}

// newest is the plain rule: the newest change before a time and, of equal times, that with the greatest id, or with the least one.
func (s *shop) newest(offer int, before plan.EventTime, least bool) *change {
	var best *change
	for i := range s.changes {
		c := &s.changes[i]
		if c.offer != offer || c.at >= before {
			continue
		}
		if best == nil || c.at > best.at || c.at == best.at && (c.id > best.id) != least {
			best = c
		}
	}
	return best
}

// compare compares with what another system has: the price for each row, nil for none.
func (s *shop) compare(t *testing.T, theirs func(a asked) *float64) *against.Report {
	t.Helper()
	var csv strings.Builder
	csv.WriteString("offer_id,at,price\n")
	for _, a := range s.asked {
		text := ""
		if p := theirs(a); p != nil {
			text = fmt.Sprint(*p)
		}
		fmt.Fprintf(&csv, "%d,%s,%s\n", a.offer, a.at, text)
	}
	path := filepath.Join(t.TempDir(), "theirs.csv")
	if err := os.WriteFile(path, []byte(csv.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	reader, err := relation.Open(relation.Options{BaseDir: s.dir, Threads: 2})
	if err != nil {
		t.Fatal(err)
	}
	defer reader.Close()
	r, err := against.Run(t.Context(), against.Config{
		Reader: reader, Service: defstest.Load(t, s.dir, featuredefs.Options{}).Plan.Services[0], Relation: relation.Relation{Owner: "theirs", From: path}, Time: "at",
		Columns: map[string]string{"offers.price": "price"}, Engine: celenv.Engine(), Threads: 2,
	})
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%d of %d differ: %v", r.Different, r.Compared, r.Causes)
	return r
}

func priceOf(c *change) *float64 {
	if c == nil {
		return nil
	}
	return &c.price
}

// A system that takes the other one of two changes at one time.
func TestP21_TheOtherOfEqualTimesIsOrder(t *testing.T) {
	s := newShop(t, rand.New(rand.NewPCG(4, 4)), 5*day)
	r := s.compare(t, func(a asked) *float64 { return priceOf(s.newest(a.offer, a.at, true)) })
	if r.Different < 300 || r.Causes[against.Order] < r.Different*98/100 {
		t.Errorf("%d of %d are order: %v", r.Causes[against.Order], r.Different, r.Causes)
	}
}

// A system that is behind by an age that nobody would try is found with its age.
func TestP21_UnusualAgesAreFound(t *testing.T) {
	for want, age := range map[string]plan.EventTime{"26h0m0s": 26 * hour, "101h0m0s": 101 * hour, "41d": 41 * day, "5h45m0s": 5*hour + 3*hour/4} {
		s := newShop(t, rand.New(rand.NewPCG(5, uint64(age))), 1e6)
		r := s.compare(t, func(a asked) *float64 { return priceOf(s.newest(a.offer, a.at-age, false)) })
		if r.Different < 50 || r.Causes[against.Lag] != r.Different || r.Features[0].Age != want {
			t.Errorf("%s: %d of %d are lag, with an age of %s: %v", want, r.Causes[against.Lag], r.Different, r.Features[0].Age, r.Causes)
		}
	}
}

// Rows of entities without events have no ages.
func TestEntitiesWithoutEventsHaveNoAges(t *testing.T) {
	s := newShop(t, rand.New(rand.NewPCG(6, 6)), 1e6)
	for i := range s.asked {
		s.asked[i].offer = offers + 1
	}
	zero := 0.0
	if r := s.compare(t, func(asked) *float64 { return &zero }); r.Different != r.Compared || r.Causes[against.Default] != r.Different {
		t.Errorf("%d of %d: %v", r.Different, r.Compared, r.Causes)
	}
}
