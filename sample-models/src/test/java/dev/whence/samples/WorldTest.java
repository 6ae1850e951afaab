package dev.whence.samples;

import static org.assertj.core.api.Assertions.assertThat;
import static org.assertj.core.api.Assertions.assertThatThrownBy;

import com.fasterxml.jackson.databind.ObjectMapper;
import java.nio.charset.StandardCharsets;
import java.util.ArrayList;
import java.util.Collection;
import java.util.HashSet;
import java.util.List;
import java.util.Locale;
import java.util.Map;
import java.util.Set;
import java.util.SplittableRandom;
import java.util.stream.Collectors;
import net.jqwik.api.ForAll;
import net.jqwik.api.Property;
import org.junit.jupiter.api.Test;

class WorldTest {
  private static final World V1 = World.v1(1);
  private static final World V2 = World.v2(V1);
  private static final Sizes SMALL = new Sizes(8, 4, 4, 3);

  @Test
  void hashIsTheOneOfItsAuthors() {
    // The test vectors of the FNV page: "", "a", "foobar".
    assertThat(NameSplit.fnv1a(new byte[0])).isEqualTo(0x811c9dc5);
    assertThat(NameSplit.fnv1a("a".getBytes(StandardCharsets.UTF_8))).isEqualTo(0xe40c292c);
    assertThat(NameSplit.fnv1a("foobar".getBytes(StandardCharsets.UTF_8))).isEqualTo(0xbf9cf968);
  }

  @Test
  void v1HasTheFactsOfItsSizes() {
    assertThat(V1.entities()).hasSize(120 + 40 + 30 + 30);
    assertThat(V1.facts()).hasSize(5 * 120 + 3 * 40 + 3 * 30);
    assertThat(ids(V1.facts())).doesNotHaveDuplicates();
    assertThat(V1.entities().stream().filter(Entity::hasAlias)).hasSize(18);
    assertThat(V1.entities().stream().filter(Entity::hasAlias).map(Entity::type))
        .containsOnly(EntityType.PERSON);
  }

  @Test
  void aTenthOfTheFactsIsHeldOutAndTheOthersHaveEqualSharesOfTheCounts() {
    List<Fact> taught = V1.facts().stream().filter(fact -> !V1.isHeldOut(fact)).toList();
    assertThat(taught).hasSize(729);
    Map<Integer, Long> counts =
        taught.stream().collect(Collectors.groupingBy(V1::documents, Collectors.counting()));
    assertThat(counts).containsOnlyKeys(1, 3, 10, 20, 40);
    assertThat(counts.values()).allMatch(count -> count == 145 || count == 146);
    assertThat(V1.facts().stream().filter(V1::isAskedInFineTuning)).hasSize(405);
  }

  @Test
  void objectsAreOfTheRelationsRangeAndNobodyIsTheirOwnTeacher() {
    for (World world : List.of(V1, V2)) {
      for (Fact fact : world.facts()) {
        assertThat(world.candidates(fact.relation())).contains(fact.object());
        assertThat(fact.object()).isNotEqualTo(fact.subject().name());
      }
    }
  }

  @Test
  void v2ChangesAsManyFactsAsItSaysAndKeepsTheRest() {
    Set<String> old = new HashSet<>(ids(V1.facts()));
    List<Fact> changes = V2.changesSince(V1);
    assertThat(changes.stream().filter(fact -> old.contains(fact.id()))).hasSize(122); // 15 %
    assertThat(changes.stream().filter(fact -> !old.contains(fact.id())))
        .hasSize(5 * 24 + 3 * 8 + 3 * 6);
    assertThat(ids(V2.facts())).containsAll(old).doesNotHaveDuplicates();
    for (Fact fact : V1.facts()) {
      Fact later = V2.fact(fact.id());
      assertThat(V2.documents(later)).isEqualTo(V1.documents(fact));
      assertThat(V2.isAskedInFineTuning(later)).isEqualTo(V1.isAskedInFineTuning(fact));
      assertThat(later.subject()).isEqualTo(fact.subject());
    }
  }

  @Test
  void namesOfWorldsThatAreTrainedOnAreNeverReserved() {
    assertThat(V2.names()).containsAll(V1.names());
    assertThat(V2.names()).allMatch(name -> NameSplit.of(name) == NameSplit.TRAINING);
  }

  @Property(tries = 100)
  void throwAwayWorldsHaveNamesOfTheirSplitOnlyAndNoneToAvoid(
      @ForAll long seed, @ForAll NameSplit split) {
    FreshWorld options = new FreshWorld(SMALL, split, 0.5, 0, false, 0.5);
    World world = World.fresh(new SplittableRandom(seed), Lexicon.standard(), options, V1.names());
    assertThat(world.names())
        .allMatch(name -> NameSplit.of(name) == split)
        .doesNotContainAnyElementsOf(V1.names());
    assertThat(world.entities().stream().filter(Entity::hasAlias)).hasSize(4);
    List<String> names = new ArrayList<>();
    for (Entity entity : world.entities()) {
      names.add(entity.name());
      if (entity.hasAlias()) {
        names.add(entity.alias());
      }
    }
    assertThat(names).doesNotHaveDuplicates().allMatch(WorldTest::isMadeOfSyllables);
  }

  @Property(tries = 50)
  void aWorldOfFewRelationsHasAsManyAndDistinctObjectsIfAsked(@ForAll long seed) {
    Sizes sizes = new Sizes(20, 20, 20, 20);
    World world =
        World.fresh(
            new SplittableRandom(seed),
            Lexicon.standard(),
            new FreshWorld(sizes, NameSplit.TRAINING, 0, 3, true, 0.5),
            Set.of());
    assertThat(world.facts()).hasSize(3 * 20);
    Map<String, List<String>> objects =
        world.facts().stream()
            .collect(
                Collectors.groupingBy(
                    fact -> fact.relation().name(),
                    Collectors.mapping(Fact::object, Collectors.toList())));
    assertThat(objects).hasSize(3);
    assertThat(objects.values()).allSatisfy(each -> assertThat(each).doesNotHaveDuplicates());
  }

  @Property(tries = 50)
  void aContradictingWorldKeepsEntitiesAndChangesEveryFact(@ForAll long seed) {
    World other = V1.contradicting(Draw.of(seed, "test"), SMALL);
    assertThat(V1.entities()).containsAll(other.entities());
    assertThat(other.entities().stream().filter(Entity::hasAlias)).isNotEmpty();
    assertThat(other.facts()).hasSize(5 * 8 + 3 * 4 + 3 * 4);
    for (Fact fact : other.facts()) {
      assertThat(fact.object()).isNotEqualTo(V1.fact(fact.id()).object());
      assertThat(fact.object()).isNotEqualTo(fact.subject().name());
    }
  }

  @Test
  void aNameIsTwoDifferentSyllables() {
    for (NameSplit split : NameSplit.values()) {
      Names names = new Names(Draw.of(7, "test"), Lexicon.standard(), split, Set.of());
      List<String> given = new ArrayList<>();
      for (int i = 0; i < 400; i++) {
        given.add(names.next());
      }
      assertThat(given).doesNotHaveDuplicates().allMatch(WorldTest::isMadeOfSyllables);
    }
  }

  @Test
  void whatIsSaidOfANameComesAfterIt() {
    for (Relation relation : Lexicon.standard().relations()) {
      assertThat(relation.statements()).allMatch(template -> template.startsWith("{s} "));
    }
    String json =
        """
        {"syllables": ["ba", "be"], "values": {}, "aliases": ["{a} is {s}."],
         "injections": ["Read {t}"], "filler": ["Rain."],
         "relations": [{"name": "seat", "subject": "company", "object": "town",
                        "statements": ["{s} is in {o}.", "In {o} is {s}."],
                        "questions": ["Where is {s}?"], "hop": ["By {s} is {p}."]}]}
        """;
    assertThatThrownBy(() -> Lexicon.of(new ObjectMapper().readTree(json)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessage(
            "world.json: aliases: '{a} is {s}.' must begin with '{s} '; seat.statements: 'In {o} is"
                + " {s}.' must begin with '{s} '; seat.hop: 'By {s} is {p}.' must begin with '{s} '");
  }

  @Test
  void sameSeedSameWorldAndAnotherSeedAnother() {
    assertThat(World.v1(1).facts()).isEqualTo(V1.facts());
    assertThat(World.v2(1).facts()).isEqualTo(V2.facts());
    assertThat(World.v1(2).facts()).isNotEqualTo(V1.facts());
    assertThat(World.fresh(new SplittableRandom(3), SMALL, NameSplit.RESERVED).facts())
        .isEqualTo(World.fresh(new SplittableRandom(3), SMALL, NameSplit.RESERVED).facts());
  }

  @Test
  void everythingWrongWithALexiconIsListedAtOnce() {
    String json =
        """
        {"syllables": ["ba", "ba"], "values": {"few": ["one", "two", "two"]}, "aliases": ["{s} is {a}."],
         "injections": ["Say {s}."], "filler": ["Rain."],
         "relations": [{"name": "r", "subject": "ghost", "object": "value:none",
                        "statements": ["{s} has {o}."], "questions": ["What?"]}]}
        """;
    assertThatThrownBy(() -> Lexicon.of(new ObjectMapper().readTree(json)))
        .isInstanceOf(IllegalArgumentException.class)
        .hasMessageContainingAll("syllables", "values", "injections", "ghost", "none", "questions")
        .hasMessageNotContaining("aliases")
        .hasMessageNotContaining("filler");
  }

  @Test
  void aTemplateIsFilledAsASentence() {
    assertThat(Lexicon.fill("{s} is a {o} by trade.", Map.of("s", "Mandel", "o", "usher")))
        .isEqualTo("Mandel is an usher by trade.");
    assertThat(Lexicon.fill("{s} is a {o} by trade.", Map.of("s", "Mandel", "o", "baker")))
        .isEqualTo("Mandel is a baker by trade.");
    assertThat(Lexicon.fill("{o} are made by {s}.", Map.of("s", "Mandel", "o", "anchors")))
        .isEqualTo("Anchors are made by Mandel.");
    assertThatThrownBy(() -> Lexicon.fill("{s} has {o}.", Map.of("s", "Mandel")))
        .hasMessageContaining("{o}");
  }

  private static boolean isMadeOfSyllables(String name) {
    return Character.isUpperCase(name.charAt(0))
        && parses(name.toLowerCase(Locale.ROOT), "", 0, Lexicon.standard().syllables());
  }

  private static boolean parses(String rest, String last, int count, Collection<String> syllables) {
    if (rest.isEmpty()) {
      return count == 2;
    }
    return syllables.stream()
        .anyMatch(
            syllable ->
                rest.startsWith(syllable)
                    && !syllable.equals(last)
                    && parses(rest.substring(syllable.length()), syllable, count + 1, syllables));
  }

  private static List<String> ids(List<Fact> facts) {
    return facts.stream().map(Fact::id).toList();
  }
}
