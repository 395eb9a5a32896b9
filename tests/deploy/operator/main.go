// Reads manifests on standard input as the Prometheus Operator does, with its own types, and refuses fields that these do not have.
// It prints the kind of each object that it read.
package main

import (
	"bufio"
	"fmt"
	"io"
	"os"

	monitoring "github.com/prometheus-operator/prometheus-operator/pkg/apis/monitoring/v1"
	"k8s.io/apimachinery/pkg/util/yaml"
	strict "sigs.k8s.io/yaml"
)

func read(document []byte) (string, error) {
	var of struct{ Kind string }
	if err := strict.Unmarshal(document, &of); err != nil {
		return "", err
	}
	switch of.Kind {
	case "ServiceMonitor":
		return of.Kind, strict.UnmarshalStrict(document, &monitoring.ServiceMonitor{})
	case "PrometheusRule":
		return of.Kind, strict.UnmarshalStrict(document, &monitoring.PrometheusRule{})
	}
	return "", nil
}

func main() {
	documents := yaml.NewYAMLReader(bufio.NewReader(os.Stdin))
	for {
		document, err := documents.Read()
		if err == io.EOF {
			return
		}
		kind := ""
		if err == nil {
			kind, err = read(document)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		if kind != "" {
			fmt.Println(kind)
		}
	}
}
