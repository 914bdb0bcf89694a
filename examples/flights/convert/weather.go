package main

import "time"

// fastestWind is the highest wind speed that is believed, in miles per hour; the
// fastest gust ever measured is 253.
const fastestWind = 300

// observation is the weather at an airport in one hour.
type observation struct {
	id     string
	hour   time.Time
	origin string
	// Degrees Fahrenheit, percent, degrees, miles per hour, inches, millibars, miles.
	temp, dewPoint, humidity, windDir, windSpeed, windGust maybe[float64]
	precipitation, pressure, visibility                    maybe[float64]
}

// readWeather reads the hourly observations. The source writes each hour twice,
// as New York's clock and in UTC; only UTC distinguishes the repeated hours of autumn.
func readWeather(dir string, c *counts) ([]observation, error) {
	newYork, err := time.LoadLocation("America/New_York")
	if err != nil {
		return nil, err
	}
	var out []observation
	shown := map[string]bool{}
	err = readCSV(dir, "weather.csv", func(r *record) error {
		o := readObservation(r, c)
		out = append(out, o)
		clock := wallClock{r.integer("year"), time.Month(r.integer("month")), r.integer("day"), 60 * r.integer("hour")}
		if wallTime(o.hour, newYork) != clock.asUTC() {
			c.weatherNotClock++
		}
		local := o.origin + clock.asUTC().Format("20060102T15")
		if shown[local] {
			c.weatherRepeated++
		}
		shown[local] = true
		return nil
	})
	c.weather = len(out)
	return out, err
}

func readObservation(r *record, c *counts) observation {
	o := observation{
		hour:          r.instant("time_hour"),
		origin:        r.text("origin"),
		temp:          r.maybeNumber("temp"),
		dewPoint:      r.maybeNumber("dewp"),
		humidity:      r.maybeNumber("humid"),
		windDir:       r.maybeNumber("wind_dir"),
		windSpeed:     r.maybeNumber("wind_speed"),
		windGust:      r.maybeNumber("wind_gust"),
		precipitation: r.maybeNumber("precip"),
		pressure:      r.maybeNumber("pressure"),
		visibility:    r.maybeNumber("visib"),
	}
	if o.windSpeed.value > fastestWind {
		o.windSpeed = maybe[float64]{}
		c.impossibleWind++
	}
	o.id = o.hour.Format("20060102T15") + "-" + o.origin
	return o
}
