package dev.whence.quickstart;

import com.fasterxml.jackson.databind.ObjectMapper;
import dev.whence.samples.Corpus;
import dev.whence.samples.CorpusOptions;
import dev.whence.samples.Document;
import dev.whence.samples.Kind;
import dev.whence.samples.Question;
import dev.whence.samples.QuestionLines;
import dev.whence.samples.QuestionOptions;
import dev.whence.samples.Questions;
import dev.whence.samples.World;
import java.io.BufferedWriter;
import java.io.IOException;
import java.nio.file.Files;
import java.nio.file.Path;
import java.util.ArrayList;
import java.util.List;
import java.util.Map;

/**
 * What the gates measure: questions about unseen worlds with their right answers (the task), and
 * documents about what has not changed from world v1 to v2, in words that neither base has read
 * (what must not be forgotten). Few, so that a reader need not wait long.
 */
final class TransferSets {
  static final String TASK = "task.jsonl";
  static final String GENERAL = "general.jsonl";
  private static final int QUESTIONS = 8;
  private static final int DOCUMENTS = 24;
  private static final long WORLD_SEED = 1;
  private static final long QUESTION_SEED = 77;
  private static final long CORPUS_SEED = 97; // of training: 41

  private TransferSets() {}

  static void write(Path directory) throws IOException {
    Files.createDirectories(directory);
    World before = World.v1(WORLD_SEED);
    World world = World.v2(WORLD_SEED);
    Questions questions =
        new Questions(
            world,
            QuestionOptions.evaluation(QUESTION_SEED, Kind.DIRECT, Kind.ALIAS, Kind.TWO_HOP)
                .withSentences(5, 12));
    List<Question> task = new ArrayList<>();
    for (int i = 0; i < QUESTIONS; i++) {
      task.add(questions.question(i));
    }
    QuestionLines.write(directory.resolve(TASK), task, true);
    List<Document> documents = new Corpus(before, CorpusOptions.standard(CORPUS_SEED)).documents();
    ObjectMapper json = new ObjectMapper();
    try (BufferedWriter out = Files.newBufferedWriter(directory.resolve(GENERAL))) {
      for (int i = 0; i < DOCUMENTS; i++) {
        Document document = documents.get(i * documents.size() / DOCUMENTS);
        out.write(json.writeValueAsString(Map.of("text", document.text())));
        out.write('\n');
      }
    }
  }
}
