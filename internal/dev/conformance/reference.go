package main

import (
	"errors"
	"fmt"

	"cel.dev/cel-go/cel"
	"cel.dev/cel-go/common/types"
	"cel.dev/cel-go/common/types/ref"
	"cel.dev/cel-go/ext"
	"cel.dev/expr"
	"cel.dev/expr/conformance/proto2"
	"cel.dev/expr/conformance/proto3"
	"cel.dev/expr/conformance/test"
	"google.golang.org/protobuf/proto"
)

// reference runs the suite on cel-go alone, with everything that the suite declares.
type reference struct{ macros, plain *cel.Env }

func newReference() (*reference, error) {
	plain, err := cel.NewCustomEnv(
		cel.StdLib(),
		cel.ClearMacros(),
		cel.OptionalTypes(),
		cel.EagerlyValidateDeclarations(true),
		cel.EnableErrorOnBadPresenceTest(true),
		cel.EnableIdentifierEscapeSyntax(),
		cel.Types(&proto2.TestAllTypes{}, &proto2.Proto2ExtensionScopedMessage{}, &proto3.TestAllTypes{}),
		ext.Bindings(), ext.Encoders(), ext.Lists(), ext.Math(), ext.Network(), ext.Protos(), ext.Strings(), ext.TwoVarComprehensions(),
	)
	if err != nil {
		return nil, err
	}
	macros, err := plain.Extend(cel.Macros(cel.StandardMacros...))
	return &reference{macros, plain}, err
}

// declared is env with the declarations of a test.
func declared(env *cel.Env, c *testCase) (*cel.Env, error) {
	var opts []cel.EnvOption
	if c.GetContainer() != "" {
		opts = append(opts, cel.Container(c.GetContainer()))
	}
	for _, d := range c.GetTypeEnv() {
		opt, err := cel.ProtoAsDeclaration(d)
		if err != nil {
			return nil, err
		}
		opts = append(opts, opt)
	}
	return env.Extend(opts...)
}

// parse parses the test and checks it unless it asks not to be.
func (r *reference) parse(c *testCase) (*cel.Env, *cel.Ast, error) {
	env := r.macros
	if c.GetDisableMacros() {
		env = r.plain
	}
	env, err := declared(env, c)
	if err != nil {
		return nil, nil, err
	}
	tree, iss := env.Parse(c.GetExpr())
	if iss.Err() != nil {
		return nil, nil, iss.Err()
	}
	if c.GetDisableCheck() {
		return env, tree, nil
	}
	tree, iss = env.Check(tree)
	return env, tree, iss.Err()
}

func (r *reference) run(c *testCase) error {
	env, tree, err := r.parse(c)
	if err != nil {
		return err
	}
	if err := checkType(c, tree); err != nil || c.GetCheckOnly() {
		return err
	}
	prg, err := env.Program(tree)
	if err != nil {
		return err
	}
	vars := map[string]any{}
	for name, v := range c.GetBindings() {
		if vars[name], err = refOf(env, v); err != nil {
			return err
		}
	}
	got, _, err := prg.Eval(vars)
	return matchRef(c, env, got, err)
}

func checkType(c *testCase, tree *cel.Ast) error {
	want := c.GetTypedResult().GetDeducedType()
	if want == nil {
		return nil
	}
	got, err := types.TypeToProto(tree.OutputType())
	if err != nil {
		return err
	}
	if !proto.Equal(got, want) {
		return fmt.Errorf("the checker deduces %v, want %v", got, want)
	}
	return nil
}

// refOf is a bound value of a test.
func refOf(env *cel.Env, v *expr.ExprValue) (ref.Val, error) {
	if v.GetValue() == nil {
		return nil, errors.New("a binding that is not a value")
	}
	return cel.ProtoAsValue(env.CELTypeAdapter(), v.GetValue())
}

func wantValue(c *testCase) *expr.Value {
	if v, ok := c.GetResultMatcher().(*test.SimpleTest_TypedResult); ok {
		return v.TypedResult.GetResult()
	}
	return c.GetValue()
}

func matchRef(c *testCase, env *cel.Env, got ref.Val, err error) error {
	if c.GetEvalError() != nil {
		if err == nil {
			return fmt.Errorf("got %v, want an error", got)
		}
		return nil
	}
	if err != nil {
		return err
	}
	pb, err := cel.ValueAsProto(got)
	if err != nil {
		return err
	}
	want := wantValue(c)
	if !sameValue(pb, want) {
		return fmt.Errorf("got %v, want %v", pb, want)
	}
	return nil
}
