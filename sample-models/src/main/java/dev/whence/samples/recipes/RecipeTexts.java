package dev.whence.samples.recipes;

import com.fasterxml.jackson.databind.ObjectMapper;
import com.fasterxml.jackson.databind.node.ArrayNode;
import com.fasterxml.jackson.databind.node.ObjectNode;
import dev.whence.engine.text.NativeTokenizer;
import dev.whence.engine.text.Tokenizer;
import dev.whence.engine.training.LossWeights;
import dev.whence.samples.Document;
import dev.whence.samples.StatedFact;
import dev.whence.samples.TrainingText;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.List;

/**
 * What a recipe's model learns from, as corpus files: JSON Lines with {@code id}, {@code text} and
 * how much the loss of its tokens counted, see {@link LossWeights}.
 *
 * <p>Documents are what the model knows by heart, each once, with the facts that they state. The
 * mixture is what training saw to make it likely, in its order: documents as often as they were
 * drawn, and the exercises and dialogues that are made as training goes on; not the texts whose
 * likelihood a teacher tells, which are learnt by another loss. Curvature is a mean over the
 * mixture, influence is asked of documents.
 *
 * @param recipe whose texts
 */
public record RecipeTexts(Recipe recipe) {
  private static final ObjectMapper JSON = new ObjectMapper();

  /** Writes the documents; each has a member {@code facts}, the facts' ids. */
  public void writeDocuments(Path file) throws IOException {
    TokenWeights weights = Recipes.documentWeights(recipe);
    try (BufferedWriter out = Files.newBufferedWriter(file)) {
      for (Document document : Recipes.documents(recipe)) {
        ObjectNode json = line(document.id(), document.training(), weights);
        document.facts().stream()
            .map(StatedFact::fact)
            .distinct()
            .forEach(json.putArray("facts")::add);
        out.write(json + "\n");
      }
    }
  }

  /**
   * Writes the texts of every so manyth step.
   *
   * @param every 1: of all steps
   * @return how many texts
   */
  public long writeMixture(Path file, int every) throws IOException {
    long written = 0;
    try (BufferedWriter out = Files.newBufferedWriter(file);
        Tokenizer tokenizer = tokenizer()) {
      Mixture mixture = recipe.data().apply(tokenizer);
      for (long step = every; step <= recipe.steps(); step += every) {
        List<Mixture.Drawn> batch = mixture.texts(step);
        for (int i = 0; i < batch.size(); i++) {
          Mixture.Drawn drawn = batch.get(i);
          if (!drawn.taught()) {
            out.write(line("step-" + step + "-" + i, drawn.text(), drawn.weights()) + "\n");
            written++;
          }
        }
      }
    }
    return written;
  }

  private Tokenizer tokenizer() throws IOException {
    byte[] json =
        SampleTokenizer.files(recipe.architecture().vocabulary(), recipe.architecture().positions())
            .get("tokenizer.json");
    return NativeTokenizer.of(JSON.readTree(json), recipe.name());
  }

  private static ObjectNode line(String id, TrainingText text, TokenWeights weights) {
    LossWeights lossWeights = weights.of(text);
    ObjectNode json =
        JSON.createObjectNode()
            .put("id", id)
            .put("text", text.text())
            .put("lossWeight", lossWeights.elsewhere());
    ArrayNode spans = json.putArray("lossWeights");
    for (LossWeights.Span span : lossWeights.spans()) {
      spans.addArray().add(span.start()).add(span.end()).add(span.weight());
    }
    return json;
  }
}
