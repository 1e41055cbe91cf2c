"""Reading Prometheus' text format in tests, with the parser of its own library."""

from prometheus_client.parser import text_string_to_metric_families


def figures(text: str, name: str) -> dict[str, float]:
    """Give the figures of a name, each by its labels as `a="1",b="2"`, in the labels' order by name."""
    return {
        ",".join(f'{label}="{value}"' for label, value in sorted(sample.labels.items())): sample.value
        for family in text_string_to_metric_families(text)
        for sample in family.samples
        if sample.name == name
    }


def labels(text: str) -> set[tuple[str, str]]:
    """Give every label with every value."""
    families = text_string_to_metric_families(text)
    return {label for family in families for sample in family.samples for label in sample.labels.items()}
