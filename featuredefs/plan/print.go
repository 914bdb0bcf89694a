package plan

import (
	"bufio"
	"fmt"
	"io"
	"strings"
)

// Print writes p for people: what is accumulated, over which windows, and how
// features are made of it. The format may change; nothing should parse it.
func Print(w io.Writer, p *Plan) error {
	out := &printer{Writer: bufio.NewWriter(w)}
	out.line("project %s", p.Project)
	for _, e := range p.Entities {
		out.line("entity %s(%s)", e.Name, formatFields(e.Keys))
	}
	for _, s := range p.Sources {
		out.source(s)
	}
	for _, v := range p.Views {
		out.view(v)
	}
	for _, s := range p.Services {
		out.service(s)
	}
	for _, t := range p.Training {
		spine := fmt.Sprintf("%s%s at %s", t.Spine.From, t.Spine.SQL, t.Spine.Time)
		if t.Spine.Served {
			spine = "of what was served"
		}
		out.line("training set %s: service %s, spine %s", t.Name, t.Service.Name, spine)
	}
	return out.Flush()
}

// printer writes lines; the buffer keeps the first error for Flush.
type printer struct{ *bufio.Writer }

func (p *printer) line(format string, args ...any) {
	fmt.Fprintf(p, format+"\n", args...)
}

func (p *printer) source(s *Source) {
	p.line("source %s: event time %s, known %s", s.Name, s.EventTime, s.Known)
	for _, c := range s.Columns {
		extra := ""
		if c.Outcome {
			extra = ", outcome"
		}
		if c.Known != nil {
			extra += ", known " + c.Known.String()
		}
		if path := s.Paths[c.Name]; len(path) > 0 {
			extra += fmt.Sprintf(", at %q", path)
		}
		p.line("  %s %v%s", c.Name, c.Type, extra)
	}
}

func (p *printer) view(v *View) {
	p.line("view %s of %s from %s [%s]", v.Name, v.Entity.Name, v.Source.Name, v.Fingerprint.Short())
	for i := range v.Slots {
		p.line("  slot %d: %v", i, &v.Slots[i])
	}
	for i, a := range v.Aggregates {
		p.line("  %s: slot %d over %v", describeIndex(i), a.Slot, a.Window)
	}
	p.features(v.Features)
}

func (p *printer) features(list []*Feature) {
	for _, f := range list {
		def := ""
		if f.Default != nil {
			def = ", default " + f.Default.String()
		}
		if f.OnErrorDefault {
			def += " on errors too"
		}
		p.line("  %s %v = %v%s [%s]", f.Name, f.Type, f.Expr, def, f.Fingerprint.Short())
	}
}

func (p *printer) service(s *Service) {
	p.line("service %s(%s; %s) [%s]", s.Name, formatFields(s.Keys), formatFields(s.Request), s.Fingerprint.Short())
	for _, f := range s.Features {
		r := s.Views[f.Ref]
		p.line("  %s %v by %s", f.Name, r.View.Features[f.Feature].Type, strings.Join(r.Keys, ", "))
	}
	p.features(s.Derived)
}

func formatFields(fields []Field) string {
	parts := make([]string, len(fields))
	for i, f := range fields {
		parts[i] = f.Name + " " + f.Type.String()
	}
	return strings.Join(parts, ", ")
}

// String is k as a definition would say it.
func (k Known) String() string {
	switch k.Kind {
	case KnownColumn:
		return "at " + k.Column
	case KnownDelay:
		return "after " + k.Delay.String()
	case KnownSchedule:
		s := fmt.Sprintf("at the next run of %q", k.Schedule)
		if k.Delay != 0 {
			s += " plus " + k.Delay.String()
		}
		return s
	}
	return "at once"
}

// String is the aggregate call that fills s.
func (s *Slot) String() string {
	var args []string
	for _, x := range []*Expr{s.Arg, s.By} {
		if x != nil {
			args = append(args, x.String())
		}
	}
	switch s.Func {
	case LatestN, EarliestN, TopK:
		args = append(args, fmt.Sprint(s.N))
	case ApproxQuantile:
		args = append(args, formatDouble(s.Quantile))
	}
	text := string(s.Func) + "(" + strings.Join(args, ", ") + ")"
	if s.Group != nil {
		text += ".by(" + s.Group.String() + ")"
	}
	if s.Filter != nil {
		text += ".where(" + s.Filter.String() + ")"
	}
	if s.Func == DistinctCount && s.N != DistinctCap {
		text += fmt.Sprintf(".cap(%d)", s.N)
	}
	return text + " " + s.Type.String()
}

// infix are the operators that stand between their operands.
var infix = map[string]string{
	"_+_": "+", "_-_": "-", "_*_": "*", "_/_": "/", "_%_": "%", "_&&_": "&&", "_||_": "||",
	"_==_": "==", "_!=_": "!=", "_<_": "<", "_<=_": "<=", "_>_": ">", "_>=_": ">=", "@in": "in",
}

// String writes e as an expression, fully parenthesised; it is for people, and
// reads back as CEL only by luck.
func (e *Expr) String() string {
	switch e.Kind {
	case Literal:
		return e.Lit.String()
	case Aggregate:
		return describeIndex(e.Index)
	case Request:
		return "request." + e.Name
	case Now:
		return "now"
	case Call:
		return e.callString()
	case Select:
		if e.TestOnly {
			return "has(" + e.Args[0].String() + "." + e.Name + ")"
		}
		return e.Args[0].String() + "." + e.Name
	case ListLit:
		return "[" + joinExprs(e.Args) + "]"
	case MapLit:
		return e.mapString()
	case Comprehension:
		c := e.Comp
		vars := c.IterVar
		if c.IterVar2 != "" {
			vars += ", " + c.IterVar2
		}
		return fmt.Sprintf("fold(%s in %v; %s = %v; while %v; %v; %v)", vars, c.Range, c.AccuVar, c.Init, c.Cond, c.Step, c.Result)
	}
	return e.Name
}

func (e *Expr) callString() string {
	op, isInfix := infix[e.Name]
	switch {
	case isInfix && len(e.Args) == 2:
		return "(" + e.Args[0].String() + " " + op + " " + e.Args[1].String() + ")"
	case e.Name == "_?_:_" && len(e.Args) == 3:
		return "(" + e.Args[0].String() + " ? " + e.Args[1].String() + " : " + e.Args[2].String() + ")"
	case e.Name == "_[_]" && len(e.Args) == 2:
		return e.Args[0].String() + "[" + e.Args[1].String() + "]"
	case (e.Name == "!_" || e.Name == "-_") && len(e.Args) == 1:
		return e.Name[:1] + e.Args[0].String()
	case e.Member && len(e.Args) > 0:
		return e.Args[0].String() + "." + e.Name + "(" + joinExprs(e.Args[1:]) + ")"
	}
	return e.Name + "(" + joinExprs(e.Args) + ")"
}

func (e *Expr) mapString() string {
	var parts []string
	for i := 0; i+1 < len(e.Args); i += 2 {
		parts = append(parts, e.Args[i].String()+": "+e.Args[i+1].String())
	}
	return "{" + strings.Join(parts, ", ") + "}"
}

func joinExprs(list []*Expr) string {
	parts := make([]string, len(list))
	for i, e := range list {
		parts[i] = e.String()
	}
	return strings.Join(parts, ", ")
}
