package recompute

import (
	"cmp"
	"slices"
)

// Limits of what a sum of reports has: it is kept while a server runs.
const (
	keptDays        = 366
	keptFeatureDays = 31
)

// plus is what two reports of a service have found together, of which next is the later one. Neither is changed. Of days and hours the
// newest are kept, and of the examples those of values that are wrong first. Entities are left out: of each report only the
// first few are known.
func (r *Report) plus(next *Report) *Report {
	out := &Report{
		Service: r.Service, Fingerprint: next.Fingerprint, Rows: r.Rows + next.Rows, OneIn: max(r.OneIn, next.OneIn), First: cmp.Or(r.First, next.First), Last: max(r.Last, next.Last),
		Compute: sum(&r.Compute, &next.Compute), Data: sum(&r.Data, &next.Data), NotInData: r.NotInData + next.NotInData, NotComputed: map[Reason]int64{},
		Days: latest(AddPeriods(AddPeriods(nil, r.Days), next.Days), keptDays), Hours: latest(AddPeriods(AddPeriods(nil, r.Hours), next.Hours), shownHours),
		Features: []Feature{}, Entities: []Entity{}, Examples: latestOfEach(slices.Concat(r.Examples, next.Examples)),
	}
	if next.First != "" {
		out.First = min(out.First, next.First)
	}
	for _, of := range []*Report{r, next} {
		for why, n := range of.NotComputed {
			out.NotComputed[why] += n
		}
	}
	for i := range next.Features {
		of := &Feature{}
		at := i // mostly: both have the same features
		if same := func(f Feature) bool { return f.Name == next.Features[i].Name }; at >= len(r.Features) || !same(r.Features[at]) {
			at = slices.IndexFunc(r.Features, same)
		}
		if at >= 0 {
			of = &r.Features[at]
		}
		out.Features = append(out.Features, of.plus(&next.Features[i]))
	}
	return out
}

// plus is what was found of a feature in two reports.
func (f *Feature) plus(next *Feature) Feature {
	out := Feature{
		Name: next.Name, Compute: sum(&f.Compute, &next.Compute), Data: sum(&f.Data, &next.Data),
		Days: latest(AddPeriods(AddPeriods([]Period{}, f.Days), next.Days), keptFeatureDays),
	}
	for _, of := range []*Feature{f, next} {
		if of.Distance != nil {
			if out.Distance == nil {
				out.Distance = &Distance{}
			}
			out.Distance.merge(of.Distance)
		}
		for s, n := range of.Statuses {
			if out.Statuses == nil {
				out.Statuses = map[string]int64{}
			}
			out.Statuses[s] += n
		}
	}
	return out
}

func sum(a, b *Tally) (out Tally) {
	out.Add(a)
	out.Add(b)
	return out
}

// latest are the last n.
func latest(list []Period, n int) []Period { return list[max(0, len(list)-n):] }

// latestOfEach are the newest examples of each feature, cause and comparison; of too many, first those of wrong values.
func latestOfEach(list []Example) []Example {
	type kind struct {
		feature string
		cause   Cause
		of      string
	}
	have := map[kind]int{}
	var wrong, others []Example
	for _, e := range newest(list, len(list)) {
		k := kind{e.Feature, e.Cause, e.Comparison}
		if have[k]++; have[k] > examplesOfEach {
			continue
		}
		if e.Comparison == "compute" && (e.Cause == Compute || e.Cause == Default) {
			wrong = append(wrong, e)
		} else {
			others = append(others, e)
		}
	}
	return newest(slices.Concat(wrong, others)[:min(shownExamples, len(wrong)+len(others))], shownExamples)
}

// Reports are what was found so far, for each service of which something was, in their order. They must not be changed.
func (s *Shadow) Reports() (out []*Report) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range s.status.Services {
		if r := s.total[s.status.Services[i].Service]; r != nil {
			out = append(out, r)
		}
	}
	return out
}

// add adds a report to the sum of those before. s.mu is locked.
func (s *Shadow) add(r *Report) {
	if before := s.total[r.Service]; before != nil {
		r = before.plus(r)
	}
	s.total[r.Service] = r
}
