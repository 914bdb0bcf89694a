package main

import (
	"github.com/spf13/cobra"

	"github.com/unskew/unskew/featuredefs"
	"github.com/unskew/unskew/featuredefs/plan"
)

// completes completes the first argument or a flag with names from the project. A project
// that does not load offers nothing.
func (o *options) completes(names func(*plan.Plan) []cobra.Completion) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) ([]cobra.Completion, cobra.ShellCompDirective) {
		p := o.definitions()
		if p == nil {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		return names(p), cobra.ShellCompDirectiveNoFileComp
	}
}

// first uses f for the first argument and then for the others.
func first(f cobra.CompletionFunc, then cobra.ShellCompDirective) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, text string) ([]cobra.Completion, cobra.ShellCompDirective) {
		if len(args) > 0 {
			return nil, then
		}
		return f(c, args, text)
	}
}

// definitions compiles the definitions without their data, as far as possible; nil if there
// is no project.
func (o *options) definitions() *plan.Plan {
	p, _, err := featuredefs.Load(o.project, featuredefs.Options{})
	if err != nil {
		return nil
	}
	return p.Plan
}

func trainingSetNames(p *plan.Plan) (names []cobra.Completion) {
	for _, t := range p.Training {
		names = append(names, cobra.CompletionWithDesc(t.Name, "service "+t.Service.Name))
	}
	return names
}

func serviceNames(p *plan.Plan) (names []cobra.Completion) {
	for _, s := range p.Services {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Description))
	}
	return names
}

func viewNames(p *plan.Plan) (names []cobra.Completion) {
	for _, v := range p.Views {
		names = append(names, cobra.CompletionWithDesc(v.Name, v.Description))
	}
	return names
}

func streamNames(p *plan.Plan) (names []cobra.Completion) {
	for _, s := range p.Sources {
		if s.Stream {
			names = append(names, cobra.CompletionWithDesc(s.Name, s.Description))
		}
	}
	return names
}

func sourceNames(p *plan.Plan) (names []cobra.Completion) {
	for _, s := range p.Sources {
		names = append(names, cobra.CompletionWithDesc(s.Name, s.Description))
	}
	return names
}

// completesFields offers NAME= for the fields of the service that is the first argument.
func (o *options) completesFields(fields func(*plan.Service) []plan.Field) cobra.CompletionFunc {
	return func(c *cobra.Command, args []string, _ string) (names []cobra.Completion, d cobra.ShellCompDirective) {
		p := o.definitions()
		if p == nil || len(args) == 0 {
			return nil, cobra.ShellCompDirectiveNoFileComp
		}
		for _, s := range p.Services {
			if s.Name != args[0] {
				continue
			}
			for _, f := range fields(s) {
				names = append(names, cobra.CompletionWithDesc(f.Name+"=", f.Type.String()))
			}
		}
		return names, cobra.ShellCompDirectiveNoFileComp | cobra.ShellCompDirectiveNoSpace
	}
}

// completeFlag sets the completion of a flag.
func completeFlag(c *cobra.Command, flag string, f cobra.CompletionFunc) {
	if err := c.RegisterFlagCompletionFunc(flag, f); err != nil {
		panic(err) // the command has no such flag
	}
}

// directories completes to directories.
func directories(*cobra.Command, []string, string) ([]cobra.Completion, cobra.ShellCompDirective) {
	return nil, cobra.ShellCompDirectiveFilterDirs
}
