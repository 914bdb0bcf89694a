package main

import (
	"encoding/json"
	"encoding/xml"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/diag"
	"github.com/unskew/unskew/internal/version"
	"github.com/unskew/unskew/validate"
	"github.com/unskew/unskew/validate/perturb"
)

// formats are the output formats of validate's findings, for people and for CI systems.
var formats = map[string]func(io.Writer, *featuredefs.Project, diag.Diagnostics) error{
	"text": textFormat, "json": jsonFormat, "github": githubFormat, "sarif": sarifFormat, "junit": junitFormat,
}

func textFormat(w io.Writer, p *featuredefs.Project, found diag.Diagnostics) error {
	if err := found.Render(w); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, summary(p, found))
	return err
}

// summary is one line with the number of definitions and findings. With errors, the
// definitions cannot be counted.
func summary(p *featuredefs.Project, found diag.Diagnostics) string {
	errors, warnings := tally(found)
	name := p.Name
	if name == "" {
		name = "project without a name"
	}
	wrong := quantity(int64(errors), "error") + ", " + quantity(int64(warnings), "warning")
	if errors > 0 {
		return name + ": " + wrong
	}
	if len(p.Plan.Entities)+len(p.Plan.Sources)+len(p.Plan.Training) == 0 && errors+warnings == 0 {
		return fmt.Sprintf("%s: there are no definitions yet, in any .yaml or .yml file under %s", name, featuredefs.FeaturesDir)
	}
	features := 0
	for _, v := range p.Plan.Views {
		features += len(v.Features)
	}
	derived := 0
	for _, s := range p.Plan.Services {
		derived += len(s.Derived)
	}
	return fmt.Sprintf("%s: %s with %s, %s with %s, %s: %s", name,
		quantity(int64(len(p.Plan.Views)), "view"), quantity(int64(features), "feature"),
		quantity(int64(len(p.Plan.Services)), "service"), quantity(int64(derived), "derived feature"),
		quantity(int64(len(p.Plan.Training)), "training set"), wrong)
}

func tally(found diag.Diagnostics) (errors, warnings int) {
	for _, d := range found {
		if d.Severity == diag.Error {
			errors++
		} else {
			warnings++
		}
	}
	return errors, warnings
}

func jsonFormat(w io.Writer, p *featuredefs.Project, found diag.Diagnostics) error {
	errors, warnings := tally(found)
	if found == nil {
		found = diag.Diagnostics{}
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(struct {
		Project  string           `json:"project"`
		Errors   int              `json:"errors"`
		Warnings int              `json:"warnings"`
		Findings diag.Diagnostics `json:"findings"`
	}{p.Name, errors, warnings, found})
}

// githubFormat writes workflow commands, which GitHub displays next to the line.
func githubFormat(w io.Writer, _ *featuredefs.Project, found diag.Diagnostics) error {
	escape := strings.NewReplacer("%", "%25", "\r", "%0D", "\n", "%0A")
	for _, d := range found {
		_, err := fmt.Fprintf(w, "::%s file=%s,line=%d,col=%d,title=%s::%s\n",
			d.Severity, escape.Replace(d.Pos.File), d.Pos.Line, d.Pos.Col, d.Rule, escape.Replace(d.Message))
		if err != nil {
			return err
		}
	}
	return nil
}

// sarifFormat writes SARIF 2.1.0, the OASIS format of static analysis results.
func sarifFormat(w io.Writer, _ *featuredefs.Project, found diag.Diagnostics) error {
	type m = map[string]any
	rules, results := []m{}, []m{}
	for _, r := range slices.Concat(featuredefs.Rules(), validate.Rules(), []diag.Rule{perturb.Rule}) {
		rules = append(rules, m{"id": r.ID, "shortDescription": m{"text": r.Purpose}})
	}
	for _, d := range found {
		results = append(results, m{
			"ruleId": d.Rule, "level": d.Severity.String(), "message": m{"text": d.Message},
			"locations": []m{{"physicalLocation": m{
				"artifactLocation": m{"uri": d.Pos.File},
				"region":           m{"startLine": max(1, d.Pos.Line), "startColumn": max(1, d.Pos.Col)},
			}}},
		})
	}
	e := json.NewEncoder(w)
	e.SetEscapeHTML(false)
	e.SetIndent("", "  ")
	return e.Encode(m{
		"version": "2.1.0", "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
		"runs": []m{{"tool": m{"driver": m{"name": "unskew", "version": version.Release, "rules": rules}}, "results": results}},
	})
}

// junitFormat writes one failed test case for each finding, and a passing one if there are no
// errors, as CI systems read test reports.
func junitFormat(w io.Writer, p *featuredefs.Project, found diag.Diagnostics) error {
	s := junitSuite{Name: "unskew validate " + p.Name}
	for _, d := range found {
		if d.Severity == diag.Error {
			s.Cases = append(s.Cases, junitCase{d.Pos.File, fmt.Sprintf("%s at line %d", d.Rule, d.Pos.Line), &junitFailure{d.Message, d.Render()}})
		}
	}
	if len(s.Cases) == 0 {
		s.Cases = append(s.Cases, junitCase{Class: p.Name, Name: "definitions"})
	}
	return s.write(w)
}

// junitSuite is a test report as CI systems read it.
type junitSuite struct {
	XMLName  xml.Name    `xml:"testsuite"`
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Cases    []junitCase `xml:"testcase"`
}

type junitCase struct {
	Class   string        `xml:"classname,attr"`
	Name    string        `xml:"name,attr"`
	Failure *junitFailure `xml:"failure,omitempty"`
}

type junitFailure struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// write counts the cases and writes the suite.
func (s junitSuite) write(w io.Writer) error {
	s.Tests, s.Failures = len(s.Cases), 0
	for _, c := range s.Cases {
		if c.Failure != nil {
			s.Failures++
		}
	}
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(s); err != nil {
		return err
	}
	_, err := io.WriteString(w, "\n")
	return err
}
