package dev.whence.cli;

import dev.whence.influence.ekfac.Damping;
import dev.whence.influence.lexical.Preselection;
import dev.whence.influence.model.Measure;
import dev.whence.influence.query.OpenedSearch;
import dev.whence.influence.query.Pcg;
import dev.whence.influence.query.QueryOptions;
import java.nio.file.Path;
import java.util.Optional;
import picocli.CommandLine.Option;

/** What an index is asked, and where the things are that it takes. */
final class InfluenceSearchOptions {
  @Option(
      names = "--index",
      converter = Models.PathOrBucket.class,
      required = true,
      paramLabel = "DIR")
  private Path index;

  @Option(
      names = "--model",
      paramLabel = "M",
      description = "the model that answered; by default the one that was indexed")
  private Optional<String> model = Optional.empty();

  @Option(
      names = "--fine-tuned-factors",
      converter = Models.PathOrBucket.class,
      paramLabel = "DIR",
      description = "factors of the model that answered: then the query is multi-stage")
  private Optional<Path> fineTuned = Optional.empty();

  @Option(
      names = "--base-model",
      paramLabel = "M",
      description = "the indexed model, if it is not where it was")
  private Optional<String> base = Optional.empty();

  @Option(
      names = "--factors",
      converter = Models.PathOrBucket.class,
      paramLabel = "DIR",
      description = "factors of the indexed model, if they are not where they were")
  private Optional<Path> factors = Optional.empty();

  @Option(
      names = "--corpus",
      converter = Models.PathOrBucket.class,
      paramLabel = "F.jsonl",
      description = "the indexed corpus, if it is not where it was")
  private Optional<Path> corpus = Optional.empty();

  @Option(
      names = "--rerank",
      defaultValue = "100",
      description =
          "candidates of each sign whose gradients are computed anew; the rest of --top has"
              + " estimates; 0: none")
  private int rerank;

  @Option(
      names = "--preselect",
      defaultValue = "none",
      paramLabel = "bm25:N",
      description =
          "candidates beside those of the scan: N documents that share most words with question and"
              + " response (${DEFAULT-VALUE}); needs 'index --lexical'")
  private String preselect;

  @Option(
      names = "--pcg",
      defaultValue = "0",
      paramLabel = "N",
      description =
          "refines the inverse of the indexed stage by N iterations of conjugate gradients on the"
              + " Fisher information of a sample (${DEFAULT-VALUE}: EK-FAC as it is)")
  private int pcg;

  @Option(
      names = "--pcg-documents",
      defaultValue = "512",
      paramLabel = "N",
      description = "documents of that sample, spread over the corpus (${DEFAULT-VALUE})")
  private int pcgDocuments;

  @Option(
      names = "--measure",
      defaultValue = "log-likelihood",
      paramLabel = "log-likelihood|log-odds",
      description = "of the response that influence is about (${DEFAULT-VALUE})")
  private String measure;

  @Option(
      names = "--alpha",
      defaultValue = "0.1x",
      paramLabel = "A",
      description = "of the fine-tuning stage; with x: times each layer's mean Lambda")
  private String alpha;

  @Option(
      names = "--lambda",
      defaultValue = "0.1x",
      paramLabel = "L",
      description = "of the indexed stage; with x: times each layer's mean Lambda")
  private String lambda;

  @Option(names = "--device", defaultValue = "auto", paramLabel = "auto|cpu|cuda:N")
  private String device;

  @SuppressWarnings("NullAway.Init") // picocli fills the fields
  InfluenceSearchOptions() {}

  Path index() {
    return index;
  }

  Optional<Path> corpus() {
    return corpus;
  }

  /** Parses them. */
  QueryOptions query(int top, boolean byLayer, boolean byToken) {
    return new QueryOptions(
        Measure.of(measure),
        Damping.parse(alpha),
        Damping.parse(lambda),
        top,
        rerank,
        Preselection.parse(preselect),
        new Pcg(pcg, pcgDocuments),
        byLayer,
        byToken);
  }

  /** Opens all files. */
  OpenedSearch open() {
    return OpenedSearch.open(
        new OpenedSearch.Files(
            index,
            model.map(Models::resolve),
            fineTuned,
            base.map(Models::resolve),
            factors,
            corpus),
        InfluenceCommand.engine(device));
  }
}
