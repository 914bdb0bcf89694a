package report

import (
	"math"
	"slices"
)

// table is a contingency table: it counts rows by a range of values and by class of the label.
type table struct {
	classes int
	rows    [][]int64 // first the ordered ranges, then the others
	ordered int       // number of ordered ranges
}

// An alarm is raised if a feature alone predicts the label better than these bounds, with so much
// confidence that only one in a thousand features at the bound would be reported. Such a feature
// is probably computed from the label.
const (
	tooGoodAUC         = 0.95
	tooGoodInformation = 0.6
	standardErrors     = 3
	// minOfClass is the number of rows that each of two classes must have for a bound of the AUC.
	minOfClass = 20
	// minLabelled is the number of labelled rows that mutual information needs.
	minLabelled = 100
)

// maxRanges is the largest number of ranges of numbers for measuring information.
const maxRanges = 32

// association is how much a feature alone says about the label. A measure that does not exist is
// NaN.
type association struct {
	correlation float64 // Spearman's
	auc         float64 // of ranking by ascending or descending value, whichever is larger
	aucLower    float64
	information float64 // mutual information as a share of the label's entropy
	infoLower   float64
}

func (t *table) total() (n int64, byClass []int64) {
	byClass = make([]int64, t.classes)
	for _, row := range t.rows {
		for c, x := range row {
			byClass[c] += x
			n += x
		}
	}
	return n, byClass
}

// associate computes the association. ordered says that the classes have an order; two classes
// always have.
func (t *table) associate(ordered bool) association {
	a := association{math.NaN(), math.NaN(), math.NaN(), math.NaN(), math.NaN()}
	if t.classes < 2 {
		return a
	}
	if ordered || t.classes == 2 {
		a.correlation = t.spearman()
	}
	if t.classes == 2 {
		a.auc, a.aucLower = t.auc()
	}
	a.information, a.infoLower = t.information()
	return a
}

// tooGood is the bound that is exceeded: "auc", "mutual_information" or "".
func (a *association) tooGood() string {
	switch {
	case a.aucLower > tooGoodAUC:
		return alarmAUC
	case a.infoLower > tooGoodInformation:
		return alarmInformation
	}
	return ""
}

// auc is the probability that the values of two rows of different classes are in the order of the
// classes, or in reverse order if that is larger, and a lower bound by the standard error of
// J. A. Hanley and B. J. McNeil (The meaning and use of the area under a receiver operating
// characteristic curve, 1982).
func (t *table) auc() (auc, lower float64) {
	var below, negative, positive float64
	for _, row := range t.rows[:t.ordered] {
		negative += float64(row[0])
		positive += float64(row[1])
	}
	if min(negative, positive) < 1 {
		return math.NaN(), math.NaN()
	}
	sum := 0.0
	for _, row := range t.rows[:t.ordered] {
		sum += float64(float64(row[1]) * (below + float64(row[0])/2))
		below += float64(row[0])
	}
	auc = sum / float64(negative*positive)
	auc = max(auc, 1-auc)
	if min(negative, positive) < minOfClass {
		return auc, math.NaN()
	}
	q1, q2 := auc/(2-auc), 2*float64(auc*auc)/(1+auc)
	variance := (float64(auc*(1-auc)) + float64((positive-1)*(q1-float64(auc*auc))) + float64((negative-1)*(q2-float64(auc*auc)))) / float64(negative*positive)
	return auc, auc - standardErrors*math.Sqrt(max(0, variance))
}

// spearman is the correlation of the ranks of values and of classes; ties have their mean rank.
func (t *table) spearman() float64 {
	values, classes := make([]float64, t.ordered), make([]float64, t.classes)
	for i, row := range t.rows[:t.ordered] {
		for c, n := range row {
			values[i] += float64(n)
			classes[c] += float64(n)
		}
	}
	n := 0.0
	for _, x := range classes {
		n += x
	}
	x, y := midRanks(values, n), midRanks(classes, n)
	var xy, xx, yy float64
	for i, row := range t.rows[:t.ordered] {
		xx += float64(values[i] * float64(x[i]*x[i]))
		for c, k := range row {
			xy += float64(float64(k) * float64(x[i]*y[c]))
		}
	}
	for c, k := range classes {
		yy += float64(k * float64(y[c]*y[c]))
	}
	if xx == 0 || yy == 0 {
		return math.NaN()
	}
	return xy / math.Sqrt(float64(xx*yy))
}

// midRanks are the mean ranks of groups of the given sizes, shifted so that their mean over n
// rows is 0, and divided by n.
func midRanks(sizes []float64, n float64) []float64 {
	ranks, below := make([]float64, len(sizes)), 0.0
	for i, size := range sizes {
		ranks[i] = (below + size/2 - n/2) / n
		below += size
	}
	return ranks
}

// information is the mutual information of values and classes as a share of the entropy of the
// classes, corrected for its bias in a table of this size (G. A. Miller, Note on the bias of
// information estimates, 1955), and a lower bound.
func (t *table) information() (share, lower float64) {
	total, byClass := t.total()
	n := float64(total)
	if total < minLabelled {
		return math.NaN(), math.NaN()
	}
	entropy, classes := 0.0, 0
	for _, x := range byClass {
		if p := float64(x) / n; p > 0 {
			entropy -= float64(p * math.Log(p))
			classes++
		}
	}
	if classes < 2 {
		return math.NaN(), math.NaN()
	}
	mutual, square, kinds := 0.0, 0.0, 0
	for _, row := range slices.Concat(ranges(t.rows[:t.ordered], maxRanges), t.rows[t.ordered:]) {
		of := int64(0)
		for _, x := range row {
			of += x
		}
		if of > 0 {
			kinds++
		}
		for c, x := range row {
			if x == 0 {
				continue
			}
			p := float64(x) / n
			gain := math.Log(float64(float64(x)*n) / float64(float64(of)*float64(byClass[c])))
			mutual += float64(p * gain)
			square += float64(p * float64(gain*gain))
		}
	}
	deviation := math.Sqrt(max(0, square-float64(mutual*mutual)) / n)
	mutual -= float64((kinds-1)*(classes-1)) / (2 * n)
	return max(0, mutual/entropy), (mutual - standardErrors*deviation) / entropy
}

// ranges merges buckets to at most the given number, with numbers of rows as equal as whole
// buckets allow.
func ranges(buckets [][]int64, most int64) [][]int64 {
	if len(buckets) <= int(most) {
		return buckets
	}
	total := int64(0)
	for _, b := range buckets {
		for _, n := range b {
			total += n
		}
	}
	var out [][]int64
	seen, filled := int64(0), int64(0)
	for _, b := range buckets {
		if len(out) == 0 || seen*most >= filled*total {
			out = append(out, make([]int64, len(b)))
			filled = seen*most/max(total, 1) + 1
		}
		for c, n := range b {
			out[len(out)-1][c] += n
			seen += n
		}
	}
	return out
}
