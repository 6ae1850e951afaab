package dev.whence.benchmarks.influence;

import dev.whence.samples.recipes.RecipeTexts;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;
import java.util.stream.Stream;

/** The first documents that a sample model learnt, as a corpus file. */
final class SampleCorpus {
  private SampleCorpus() {}

  /**
   * Writes the file, and all documents beside it.
   *
   * @param model whose recipe
   * @param most documents
   * @return how many there are
   */
  static int write(Path file, String model, int most) throws IOException {
    Path all = file.resolveSibling("documents.jsonl");
    new RecipeTexts(Recipes.named(model).orElseThrow()).writeDocuments(all);
    try (Stream<String> lines = Files.lines(all)) {
      List<String> documents = lines.limit(most).toList();
      Files.write(file, documents);
      return documents.size();
    }
  }
}
