// Package telemetry exports spans and metrics by OTLP over HTTP, as the standard environment variables of OpenTelemetry say. It is large:
// programs that have to be small do without it.
package telemetry

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	bridge "go.opentelemetry.io/contrib/bridges/prometheus"
	"go.opentelemetry.io/otel"
	"go.opentelemetry.io/otel/attribute"
	"go.opentelemetry.io/otel/codes"
	"go.opentelemetry.io/otel/exporters/otlp/otlpmetric/otlpmetrichttp"
	"go.opentelemetry.io/otel/exporters/otlp/otlptrace/otlptracehttp"
	"go.opentelemetry.io/otel/propagation"
	"go.opentelemetry.io/otel/sdk/metric"
	"go.opentelemetry.io/otel/sdk/resource"
	sdktrace "go.opentelemetry.io/otel/sdk/trace"
	"go.opentelemetry.io/otel/trace"

	"github.com/unskew/unskew/internal/tracing"
	"github.com/unskew/unskew/internal/version"
)

// signal is what is exported, with the part of its variables' names.
type signal string

const (
	traces  signal = "TRACES"
	metrics signal = "METRICS"
)

// wanted reports whether the environment asks for a signal: it names an endpoint, or the exporter. Nothing is exported by default.
func (s signal) wanted(getenv func(string) string) (bool, error) {
	if strings.EqualFold(getenv("OTEL_SDK_DISABLED"), "true") {
		return false, nil
	}
	exporter := "OTEL_" + string(s) + "_EXPORTER"
	switch named := getenv(exporter); named {
	case "none":
		return false, nil
	case "otlp":
	case "":
		if getenv("OTEL_EXPORTER_OTLP_ENDPOINT") == "" && getenv("OTEL_EXPORTER_OTLP_"+string(s)+"_ENDPOINT") == "" {
			return false, nil
		}
	default:
		return false, fmt.Errorf("%s=%s is not supported; write otlp or none", exporter, named)
	}
	for _, name := range []string{"OTEL_EXPORTER_OTLP_" + string(s) + "_PROTOCOL", "OTEL_EXPORTER_OTLP_PROTOCOL"} {
		if protocol := getenv(name); protocol == "http/protobuf" {
			return true, nil
		} else if protocol != "" {
			return false, fmt.Errorf("%s=%s is not supported; write http/protobuf, to which collectors listen on port 4318", name, protocol)
		}
	}
	return true, nil
}

// Config says what is exported.
type Config struct {
	Getenv  func(string) string
	Service string              // its name, unless OTEL_SERVICE_NAME or OTEL_RESOURCE_ATTRIBUTES has another
	Metrics prometheus.Gatherer // exported as they are; nil: only spans
	Log     *slog.Logger        // failures of exports, at most one each minute
}

// Start begins to export and says how to end: what is left is sent then, for as long as the context allows. What cannot be sent is dropped.
func Start(ctx context.Context, c Config) (stop func(context.Context) error, err error) {
	var stops []func(context.Context) error
	stop = func(ctx context.Context) error {
		tracing.Use(nil)
		var errs []error
		for _, f := range stops {
			errs = append(errs, f(ctx))
		}
		return errors.Join(errs...)
	}
	spans, err := traces.wanted(c.Getenv)
	if err != nil {
		return stop, err
	}
	numbers, err := metrics.wanted(c.Getenv)
	if numbers = numbers && c.Metrics != nil; err != nil || !spans && !numbers {
		return stop, err
	}
	about, err := resource.New(ctx, resource.WithTelemetrySDK(), resource.WithHost(),
		resource.WithAttributes(attribute.String("service.name", c.Service), attribute.String("service.version", version.Release)), resource.WithFromEnv())
	if err != nil {
		return stop, fmt.Errorf("OTEL_RESOURCE_ATTRIBUTES: %w", err)
	}
	otel.SetErrorHandler(&failures{log: c.Log})
	if spans {
		to, err := otlptracehttp.New(ctx)
		if err != nil {
			return stop, fmt.Errorf("export spans: %w", err)
		}
		provider := sdktrace.NewTracerProvider(sdktrace.WithBatcher(to), sdktrace.WithResource(about))
		stops = append(stops, provider.Shutdown)
		tracing.Use(tracer{provider.Tracer("unskew")})
	}
	if numbers {
		to, err := otlpmetrichttp.New(ctx)
		if err != nil {
			return stop, fmt.Errorf("export metrics: %w", err)
		}
		reader := metric.NewPeriodicReader(to, metric.WithProducer(bridge.NewMetricProducer(bridge.WithGatherer(c.Metrics))))
		stops = append(stops, metric.NewMeterProvider(metric.WithReader(reader), metric.WithResource(about)).Shutdown)
	}
	return stop, nil
}

// failures logs what went wrong with exports, at most once each minute.
type failures struct {
	log    *slog.Logger
	last   atomic.Int64 // in Unix seconds
	hidden atomic.Int64
}

// Handle implements otel.ErrorHandler.
func (f *failures) Handle(err error) {
	now, last := time.Now().Unix(), f.last.Load()
	if now-last < 60 || !f.last.CompareAndSwap(last, now) {
		f.hidden.Add(1)
		return
	}
	f.log.Warn("spans or metrics were not exported", "reason", err, "others", f.hidden.Swap(0))
}

// tracer makes spans of OpenTelemetry.
type tracer struct{ trace.Tracer }

// remote reads W3C's headers traceparent and tracestate.
var remote propagation.TraceContext

// Start implements tracing.Tracer.
func (t tracer) Start(ctx context.Context, name string) (context.Context, tracing.Recorder) {
	ctx, span := t.Tracer.Start(ctx, name)
	return ctx, recorder{span}
}

// Serve implements tracing.Tracer.
func (t tracer) Serve(ctx context.Context, name string, headers http.Header) (context.Context, tracing.Recorder) {
	ctx, span := t.Tracer.Start(remote.Extract(ctx, propagation.HeaderCarrier(headers)), name, trace.WithSpanKind(trace.SpanKindServer))
	return ctx, recorder{span}
}

type recorder struct{ trace.Span }

// Int implements tracing.Recorder.
func (r recorder) Int(key string, n int64) { r.SetAttributes(attribute.Int64(key, n)) }

// Text implements tracing.Recorder.
func (r recorder) Text(key, value string) { r.SetAttributes(attribute.String(key, value)) }

// End implements tracing.Recorder. The text of an error can have keys and values, so only that there was one is recorded.
func (r recorder) End(err error) {
	if err != nil {
		r.SetStatus(codes.Error, "")
	}
	r.Span.End()
}
