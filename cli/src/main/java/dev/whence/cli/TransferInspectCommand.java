package dev.whence.cli;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.quickstart.view.DisplayText;
import dev.whence.transfer.TransferException;
import dev.whence.transfer.diff.DiffInspection;
import dev.whence.transfer.merge.Expectation;
import dev.whence.transfer.merge.Manifest;
import dev.whence.transfer.report.SvgChart;
import java.io.IOException;
import java.io.PrintWriter;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Optional;
import java.util.concurrent.Callable;
import java.util.stream.IntStream;
import picocli.CommandLine.Command;
import picocli.CommandLine.Mixin;
import picocli.CommandLine.Model.CommandSpec;
import picocli.CommandLine.Option;
import picocli.CommandLine.Spec;

/** Says what a transferred model was made from, or what is in a diff vector. */
@Command(
    name = "inspect",
    description = "Says what a transferred model was made from, or what is in a diff vector.",
    mixinStandardHelpOptions = true)
final class TransferInspectCommand implements Callable<Integer> {
  @Spec private CommandSpec spec;

  @Option(
      names = "--output",
      converter = Models.PathOrBucket.class,
      paramLabel = "O",
      description = "a transferred model")
  private Optional<Path> output = Optional.empty();

  @Mixin private TransferExpectedOptions expected = new TransferExpectedOptions();

  @Option(
      names = "--diff",
      converter = Models.PathOrBucket.class,
      paramLabel = "D",
      description = "a stored diff vector")
  private Optional<Path> diff = Optional.empty();

  @Option(
      names = "--with",
      converter = Models.PathOrBucket.class,
      paramLabel = "D2",
      description = "another diff, for the cosine")
  private Optional<Path> with = Optional.empty();

  @Option(names = "--svg", paramLabel = "F.svg", description = "norms by layer as a picture")
  private Optional<Path> svg = Optional.empty();

  @Option(names = "--json", description = "JSON instead of a table")
  private boolean json;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  TransferInspectCommand() {}

  @Override
  public Integer call() throws IOException {
    if (output.isPresent() == diff.isPresent()) {
      throw new UsageException("give either --output or --diff");
    }
    PrintWriter out = spec.commandLine().getOut();
    if (output.isPresent()) {
      manifests(out, output.get());
      return Whence.DONE;
    }
    if (expected.given()) {
      throw new UsageException("--base, --fine-tuned, --target and --lambda belong to --output");
    }
    DiffInspection inspection = DiffInspection.of(diff.orElseThrow(), with);
    List<DiffInspection.Line> lines = new ArrayList<>(inspection.tensors());
    lines.addAll(inspection.layers());
    lines.add(inspection.total());
    for (DiffInspection.Line line : lines) {
      out.println(json ? object(line) : text(line));
    }
    out.flush();
    if (svg.isPresent()) {
      Files.writeString(svg.get(), chart(inspection));
    }
    return Whence.DONE;
  }

  private void manifests(PrintWriter out, Path of) throws IOException {
    Expectation expectation = expected.expectation();
    Map<Path, Manifest> results = Manifest.results(of);
    if (results.isEmpty()) {
      throw new TransferException(of + " has no " + Manifest.FILE);
    }
    for (Path place : results.keySet()) {
      out.println(Files.readString(place.resolve(Manifest.FILE)).strip());
    }
    out.flush();
    TransferException.refuse(expectation.differences(of, results));
  }

  private static String text(DiffInspection.Line line) {
    return String.format(
        Locale.ROOT,
        "%s  norm %.6g, rms %.6g, largest %.6g, %d elements, %d exceptions%s",
        DisplayText.clean(line.name()),
        line.norm(),
        line.rms(),
        line.largest(),
        line.elements(),
        line.exceptions(),
        line.cosine()
            .map(cosine -> String.format(Locale.ROOT, ", cosine %.6f", cosine))
            .orElse(""));
  }

  private static String object(DiffInspection.Line line) {
    ObjectNode node = new ObjectMapper().createObjectNode();
    node.put("name", line.name())
        .put("norm", line.norm())
        .put("rms", line.rms())
        .put("largest", line.largest())
        .put("elements", line.elements())
        .put("exceptions", line.exceptions());
    line.cosine().ifPresent(cosine -> node.put("cosine", cosine));
    return node.toString();
  }

  private static String chart(DiffInspection inspection) {
    List<DiffInspection.Line> layers =
        inspection.layers().stream().filter(line -> line.name().startsWith("layer")).toList();
    return SvgChart.of(
        "Root mean square of the difference by layer",
        "layer",
        "rms",
        List.of(
            new SvgChart.Series(
                "difference",
                IntStream.range(0, layers.size()).mapToObj(i -> (double) i).toList(),
                layers.stream().map(DiffInspection.Line::rms).toList())));
  }
}
