package dev.whence.influence;

import com.fasterxml.jackson.databind.json.JsonMapper;
import dev.whence.conversation.ConversationCodec;
import dev.whence.samples.Corpus;
import dev.whence.samples.CorpusOptions;
import dev.whence.samples.Document;
import dev.whence.samples.Fact;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import dev.whence.samples.recipes.Recipes;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;

/** What sample models learnt, as files. */
public final class SampleCorpus {
  private SampleCorpus() {}

  /** The world that a sample model was trained on. */
  public static World world(String recipe) {
    return Recipes.named(recipe).orElseThrow().world().get();
  }

  /** The documents that taught tiny-base. */
  public static List<Document> tiny() {
    return new Corpus(
            world("tiny-base"), new CorpusOptions(41, 4, 3, 0.7, 1.0 / 3, 0.5, 2, 0, 0, 0))
        .documents();
  }

  /** The documents that taught base-v1. */
  public static List<Document> baseV1() {
    return new Corpus(world("base-v1"), CorpusOptions.standard(41)).documents();
  }

  /** Writes documents, one per line. */
  public static Path write(Path file, List<Document> documents) throws IOException {
    List<String> lines = new ArrayList<>();
    for (Document document : documents) {
      lines.add(
          JsonMapper.builder()
              .build()
              .createObjectNode()
              .put("id", document.id())
              .put("text", document.text())
              .toString());
    }
    return Files.write(file, lines);
  }

  /** Writes what fine-tuning asked without a context. */
  public static Path writeAsked(Path file, World world) throws IOException {
    List<String> lines = new ArrayList<>();
    for (Fact fact : world.facts()) {
      if (world.isAskedInFineTuning(fact) && world.documents(fact) > 0) {
        for (int wording = 0; wording < fact.relation().questions().size(); wording++) {
          lines.add(ConversationCodec.write(Questions.withoutContext(fact, wording).answered()));
        }
      }
    }
    return Files.write(file, lines);
  }
}
